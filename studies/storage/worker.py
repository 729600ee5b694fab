"""Name this process as a worker of a study, and tell whether another worker on this machine has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lrrt.plain import from_plain, to_plain
from studies.storage.processes import is_running, place

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
        pid = os.getpid()
        if worker_id is None:
            job = next((names for names in JOBS if all(environ.get(name) for name in names)), ())
            process = [name for name in PROCESSES if job and environ.get(name)]
            worker_id = ".".join(environ[name] for name in (*job, *process)) or f"{socket.gethostname()}.{pid}"
        return cls(worker_id, pid, place())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote."""
        return from_plain(cls, data)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return to_plain(self)

    def knows_ended(self, other: Worker) -> bool:
        """Say whether another worker cannot be at work any more.

        A worker in this one's place is at work as long as its process runs. Elsewhere, one with this one's id is an
        earlier life of it, because a scheduler gives an id to one process at a time.
        """
        if other.place != self.place:
            return other.id == self.id
        return other.id == self.id if other.pid == self.pid else not is_running(other.pid)
