"""Knows how a file appears whole or not at all, whatever kills the process that writes it."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL = re.compile(r"\..*\.[0-9a-f]{8}\.partial(\.[^.]+)*")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; what is written there takes the place of `path` when the block ends.

    It has the suffixes of `path`, which `model.save` and `savefig` go by. Where the block raises, `path` stays. The
    folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffixes = "".join(path.suffixes)
    partial = path.with_name(f".{path.name.removesuffix(suffixes)}.{secrets.token_hex(4)}.partial{suffixes}")
    try:
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
        _to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is either complete or as it was before."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text as `write_bytes` writes bytes; line ends stay as they are."""
    write_bytes(path, content.encode("utf-8"))


def is_leftover(name: str) -> bool:
    """Say whether a file of this name is one that a killed process was writing.

    >>> is_leftover(".model.0123abcd.partial.keras"), is_leftover(".model.keras")
    (True, False)
    """
    return _PARTIAL.fullmatch(name) is not None


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
