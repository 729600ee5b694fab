"""Name this process as a worker of a study, and tell whether another worker on this machine has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

# The first of these that is set names a worker by its place in a batch job, so that one which its scheduler starts
# again, whatever ended it, is known as the same. In a job of several processes each has a place of its own.
JOBS = (
    ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"),
    ("SLURM_JOB_ID",),
    ("JOB_NAME", "JOB_COMPLETION_INDEX"),
)
PROCESSES = ("SLURM_STEP_ID", "SLURM_PROCID")


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
            job = next((names for names in JOBS if all(environ.get(name) for name in names)), ())
            process = [name for name in PROCESSES if job and environ.get(name)]
            worker_id = ".".join(environ[name] for name in (*job, *process)) or f"{socket.gethostname()}.{pid}"
        return cls(worker_id, pid, place)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote."""
        return cls(data["id"], data["pid"], data["place"])

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def knows_ended(self, other: Worker) -> bool:
        """Say whether another worker cannot be at work any more.

        A worker in this one's place is at work as long as its process runs. Elsewhere, one with this one's id is an
        earlier life of it, because a scheduler gives an id to one process at a time.
        """
        if other.place != self.place:
            return other.id == self.id
        return other.id == self.id if other.pid == self.pid else not _runs(other.pid)


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
