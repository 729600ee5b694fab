"""Read a file that a user names, which may be another one than was meant."""

from pathlib import Path

MOST_BYTES = 2**20  # a config has a few thousand


def text_of(path: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """Return the text of a file, which may begin with a byte order mark.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is longer, as a device without an end or a file of data is, or is not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it is longer than {most_bytes / 2**20:g} MiB")
    return content.decode("utf-8-sig").replace("\r\n", "\n")
