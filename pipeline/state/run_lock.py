"""Let one process at a time work in a run directory, and name that process."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.failures import RunLocked
from pipeline.state.json_files import write_json
from studies.storage.processes import is_running

LOCK, HOLDER = "lock", "lock_holder.json"  # files of a state folder
PATIENCE_S = 2.0  # a new run waits so long for one that is about to end
ANOTHER_RUN = "Wait for its end, or give this run its own --out and --state."


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Keep other processes out while the block runs; the lock ends with the process in any case.

    Args:
        state: the folder of the run's progress; it must exist.

    Raises:
        RunLocked: if another process, or another part of this one, holds the lock.
    """
    lock = FileLock(state / LOCK, timeout=PATIENCE_S)
    try:
        lock.acquire()
    except Timeout:
        raise RunLocked(f"{_held_by(state)} {ANOTHER_RUN}") from None
    holder = state / HOLDER
    try:
        write_json(holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": _utc_now()})
        yield
    finally:
        try:
            holder.unlink(missing_ok=True)
        finally:
            lock.release()


@contextmanager
def results_held(out: Path) -> Iterator[None]:
    """Keep runs with other states out of a folder of results while the block runs; no file is made in it.

    Raises:
        RunLocked: if another run holds it.
    """
    descriptor = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLocked(
                f"{out} is in use by another run, which has another --state. Wait for its end, or give this run its "
                "own --out."
            ) from None
        except OSError:  # some network file systems lock no folders
            pass
        yield
    finally:
        os.close(descriptor)


def holder_of(state: Path) -> str | None:
    """Return the process that works in this run directory, as "PID on HOST"; None if there is none.

    The lock itself is not touched, since a mere question must not keep another process from its start.
    """
    holder = _read_holder(state)
    if holder is None:
        return None
    is_here = holder["host"] == socket.gethostname()
    return None if is_here and not is_running(int(holder["pid"])) else f"{holder['pid']} on {holder['host']}"


def check_free(state: Path, remedy: str) -> None:
    """Refuse to say that something is not there while a process works in this run directory, which may bring it.

    Raises:
        RunLocked: with the remedy.
    """
    if holder_of(state) is not None:
        raise RunLocked(f"{_held_by(state)} {remedy}")


def _held_by(state: Path) -> str:
    holder = _read_holder(state)
    who = (
        "another process"  # it has only just begun, or is about to end
        if holder is None
        else f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    )
    return f"{state} is in use by {who}."


def _read_holder(state: Path) -> dict[str, str] | None:
    try:
        holder = json.loads((state / HOLDER).read_text(encoding="utf-8"))
        return {name: str(holder[name]) for name in ("pid", "host", "since")}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
