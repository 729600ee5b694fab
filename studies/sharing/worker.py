"""Name this process as a worker of a study, and find whether another worker has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lrrt.plain import from_plain, to_plain
from studies.storage.processes import is_running, place

# The first group that is set names a worker by its place in a batch job. If the scheduler starts a worker again,
# whatever ended it, the new one has the same name. In a job of several processes each has its place.
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
        id: stays the same if a scheduler starts the worker again.
        pid: the id of the process.
        place: the machine, and the part of it, in which the pid is unique.
    """

    id: str
    pid: int
    place: str

    @classmethod
    def here(cls, worker_id: str | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return this process as a worker.

        Args:
            worker_id: None takes it from the batch scheduler's environment, or else from host and pid.
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
        """Make the worker again from `as_dict`."""
        return from_plain(cls, data)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return to_plain(self)

    def knows_ended(self, other: Worker) -> bool:
        """Say whether another worker has certainly ended.

        A worker in the same place works as long as its process runs. In another place, a worker with the same id is an
        earlier life of this one, because a scheduler gives an id to one process at a time.
        """
        if other.place != self.place:
            return other.id == self.id
        return other.id == self.id if other.pid == self.pid else not is_running(other.pid)
