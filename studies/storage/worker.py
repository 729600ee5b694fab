"""Knows which worker of a study this process is, and whether another one on this machine has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lrrt.plain import from_plain, to_plain

# The first of these that is set names a worker by its place in a batch job, so that one which its scheduler starts
# again, after whatever ended it, knows its own trial.
PLACES = (
    ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"),
    ("SLURM_JOB_ID",),
    ("JOB_NAME", "JOB_COMPLETION_INDEX"),
)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that trains the trials of a study.

    Attributes:
        id: the same when its scheduler starts the worker again.
        pid: of the process.
        place: the machine, and the part of it, in which that pid means one process.
    """

    id: str
    pid: int
    place: str

    @classmethod
    def here(cls, worker_id: str | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return this process as a worker.

        Args:
            worker_id: where None, what the batch scheduler's environment says, else host and pid.
            environ: the environment.
        """
        pid, place = os.getpid(), _place()
        if worker_id is None:
            known = next((names for names in PLACES if all(environ.get(name) for name in names)), ())
            worker_id = ".".join(environ[name] for name in known) or f"{socket.gethostname()}.{pid}"
        return cls(worker_id, pid, place)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote."""
        return from_plain(cls, data)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return to_plain(self)

    def knows_ended(self, other: Worker) -> bool:
        """Say whether another worker cannot be at work any more.

        It cannot where this one has its id, because an id is given to one process at a time, and where no process of
        its pid runs in its place, which is this one's.
        """
        return other.id == self.id or (other.place == self.place and not _runs(other.pid))


def _place() -> str:
    """Return the host, and the namespace of pids: containers may share the name of their host."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {namespace.readlink() if namespace.exists() else ''}".strip()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Say whether a process has ended, and its parent has not taken notice yet."""
    try:
        # The state follows the name, which stands in parentheses and may hold any letter.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
