"""Ask Slurm to take a job, to cancel it, and what is in its queue."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.failures import SlurmError

CLIENT_TIMEOUT_S = 60.0  # a client whose controller is gone tries for minutes


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task in the queue: the name of its job, its state in Slurm's words, and why it waits or where it runs."""

    job: str
    state: str
    reason: str


def submit_job(script: Path, *, if_failed: str | None = None) -> str:
    """Hand a script to Slurm and return the job's id.

    Args:
        script: the job; its options are in it.
        if_failed: the id of a job; this one starts when that has ended, if one of its tasks failed, and is cancelled if
            none did.

    Raises:
        SlurmError: if Slurm does not take it.
    """
    after = [] if if_failed is None else [f"--dependency=afternotok:{if_failed}", "--kill-on-invalid-dep=yes"]
    shown = _ask(["sbatch", "--parsable", *after, str(script)])
    return shown.partition(";")[0]  # the name of the cluster may follow


def cancel_jobs(ids: Sequence[str]) -> None:
    """Take jobs back.

    Raises:
        SlurmError: if Slurm does not.
    """
    _ask(["scancel", *ids])


def queued(name: str) -> list[QueuedTask]:
    """Return what is in the queue of the jobs with this name; `sacct`, which many clusters lack, is not asked.

    Raises:
        SlurmError: if Slurm cannot be asked.
    """
    shown = _ask(["squeue", "--noheader", "--array", f"--name={name}", "--format=%j|%T|%R"])
    rows = [line.split("|", 2) for line in shown.splitlines()]
    return [QueuedTask(job, state.lower(), reason.strip("()")) for job, state, reason in rows]


def _ask(command: Sequence[str]) -> str:
    program = command[0]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=CLIENT_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise SlurmError(
            f"Slurm's command `{program}` must be on this machine, and it is not found. Run this on a login node of "
            'the cluster, or set kind = "local" in [cluster].'
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"`{program}` must answer within {CLIENT_TIMEOUT_S:.0f} s, and it did not.") from None
    if ended.returncode != 0:
        raise SlurmError(f"`{program}` refused: {ended.stderr.strip() or f'exit code {ended.returncode}'}")
    return ended.stdout.strip()
