"""Write files that appear whole or not at all, whatever kills the writing process."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studies.storage.processes import is_running, place

OLD_S = 24 * 3600.0  # a file of another machine without a write for so long is abandoned
_PARTIAL = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{4}\.partial(\.[^.]+)*")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; its file replaces `path` when the block ends.

    It has the suffixes of `path`, because `model.save` and `savefig` choose a format by them. If the block raises,
    `path` stays. The folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffixes = "".join(path.suffixes)
    writer = f"{_machine()}-{os.getpid()}-{secrets.token_hex(2)}"
    partial = path.with_name(f".{path.name.removesuffix(suffixes)}.{writer}.partial{suffixes}")
    try:
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
        _to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text as `write_bytes` writes bytes; line ends stay as they are."""
    write_bytes(path, content.encode("utf-8"))


def is_leftover(name: str) -> bool:
    """Say whether a file of this name is temporary; its process removes it unless it is killed.

    >>> is_leftover(".model.0123abcd-42-0123.partial.keras"), is_leftover(".model.keras")
    (True, False)
    """
    return _PARTIAL.fullmatch(name) is not None


def is_abandoned(path: Path) -> bool:
    """Say whether the process that was writing a temporary file has ended, as far as this machine can tell."""
    writer = _PARTIAL.fullmatch(path.name)
    if writer is None:
        return False
    if writer[1] == _machine():
        return not is_running(int(writer[2]))
    try:
        return time.time() - path.stat().st_mtime > OLD_S
    except OSError:
        return False


def _machine() -> str:
    """Return a short name of this machine, and of the part of it in which process ids are unique."""
    return hashlib.sha256(place().encode()).hexdigest()[:8]


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
