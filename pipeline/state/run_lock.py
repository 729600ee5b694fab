"""Knows that one process at a time works in a run directory, and which one does."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.state.json_files import write_json


class RunLocked(RuntimeError):
    """Another process works in this run directory."""


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Keep other processes out while the block runs; the lock ends with the process, however that ends.

    Args:
        state: the folder of the run's progress, which exists.

    Raises:
        RunLocked: where another process, or another part of this one, holds the lock.
    """
    lock = FileLock(state / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunLocked(_held_by(state)) from None
    holder = state / "lock_holder.json"
    try:
        write_json(holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": _utc_now()})
        yield
    finally:
        try:
            holder.unlink(missing_ok=True)
        finally:
            lock.release()


def is_held(state: Path) -> bool:
    """Say whether a process works in the run directory with this folder of progress."""
    if not (state / "lock").exists():
        return False
    try:
        with FileLock(state / "lock", timeout=0):
            return False
    except Timeout:
        return True


def _held_by(state: Path) -> str:
    try:
        holder = json.loads((state / "lock_holder.json").read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, TypeError, KeyError):
        who = "another process"  # it has only just begun, or is about to end
    return f"{state} is in use by {who}. Wait for its end, or give this run its own --out and --state."


def _utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
