"""Read a file that a user names, which may be another one than was meant."""

import os
import select
import time
from pathlib import Path

MOST_BYTES = 2**20  # a config has a few thousand
WAIT_S = 10.0  # for what a pipe or a device brings, in all


def text_of(path: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """Return the text of a file, which may begin with a byte order mark.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is longer, as a device without an end or a file of data is; if it is not UTF-8; or if it is a
            pipe or a device whose content does not end in time.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # or the open of a pipe waits for who writes to it
    try:
        content = _read(descriptor, most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:
        raise ValueError(f"it is longer than {most_bytes / 2**20:g} MiB")
    return content.decode("utf-8-sig").replace("\r\n", "\n")


def _read(descriptor: int, most_bytes: int) -> bytes:
    """Return the content up to so many bytes."""
    content, end = b"", time.monotonic() + WAIT_S
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(content) < most_bytes:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise ValueError(f"it is a pipe or a device that did not bring its end in {WAIT_S:g} s")
        block = os.read(descriptor, most_bytes - len(content))
        if not block:
            break
        content += block
    return content
