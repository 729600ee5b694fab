"""Check the places of a run's files before it begins, so that no training is lost to a place that cannot be written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pipeline.failures import CorruptState

REMEDY = "Remove it or move it away, then run the same command again to go on."
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
DEVICE = "a device"


def check_no_pipes(files: Iterable[Path]) -> None:
    """Refuse what is read as a file but is a pipe or a device, for whose content a process would wait for ever.

    Raises:
        CorruptState: with the remedy.
    """
    for path in files:
        kind = _kind(path)
        if kind is not None and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise CorruptState(f"{path} must be a file, but it is {KINDS.get(kind, DEVICE)}. {REMEDY}")


def check_places(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Refuse a folder where a file will be written, a file where a folder will be, and a folder that takes no files.

    Raises:
        CorruptState: with the remedy.
    """
    for path in files:
        if _kind(path) == stat.S_IFDIR:
            raise CorruptState(f"{path} will be written as a file, but it is a folder. {REMEDY}")
    for path in folders:
        kind = _kind(path)
        if kind is None and path.is_symlink():
            raise CorruptState(f"{path} must be a folder, but it is a link that leads to none. {REMEDY}")
        if kind is not None and kind != stat.S_IFDIR:
            raise CorruptState(f"{path} must be a folder, but it is {KINDS.get(kind, 'a file')}. {REMEDY}")
        if kind is not None and not os.access(path, os.W_OK | os.X_OK):
            raise CorruptState(
                f"{path} will hold files of this run, but this process may not write there. Change its rights or its "
                "owner, then run the same command again to go on."
            )


def _kind(path: Path) -> int | None:
    """Return the type of a file, or of what a link leads to; None if there is none, or it cannot be looked at."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return None
