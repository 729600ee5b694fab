"""Write the script of a batch job: an array of tasks, each of which runs the stage together with the others."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.tables import ClusterConfig
from pipeline.failures import NEEDS_REPAIR
from pipeline.state.run_directory import RunDirectory

GRACE_S = 120  # from the warning to the time limit: an epoch ends, and the trial is stored


@dataclass(frozen=True, slots=True)
class Submission:
    """What all jobs of one `lrrt submit` share.

    Attributes:
        tag: distinguishes this submission's jobs from all others, even if the controller gives a job's id out again.
        num_workers: tasks of a job.
        arguments: of `lrrt run`: the config, the folders and the options that replace values of the config.
        needs_storage: whether the storage comes to each task through its environment, and from nowhere else.
    """

    tag: str
    num_workers: int
    arguments: tuple[str, ...]
    needs_storage: bool

    @property
    def job_name(self) -> str:
        """The name of the jobs in the queue."""
        return f"lrrt-{self.tag}"


def script(submission: Submission, cluster: ClusterConfig, directory: RunDirectory) -> str:
    """Return the script of a job; `bash SCRIPT` runs one of its tasks by hand."""
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in _options(submission, cluster, directory)), ""]
    mark = shlex.quote(str(directory.submission.resolve()))
    sentence = shlex.quote(f"lrrt: every node must see {directory.state.resolve()}, but this one does not:")
    lines += [f'[ -e {mark} ] || {{ echo {sentence} "$(hostname)" >&2; exit {NEEDS_REPAIR}; }}']
    if submission.needs_storage:
        lines.append(': "${LRRT_STORAGE:?the storage must come to each task through its environment}"')
    lines.append(f"exec {shlex.quote(sys.executable)} -m pipeline run {shlex.join(submission.arguments)}")
    return "\n".join(lines) + "\n"


def script_file(directory: RunDirectory) -> Path:
    """Return the file of the script."""
    return directory.jobs / "run.sh"


def _options(submission: Submission, cluster: ClusterConfig, directory: RunDirectory) -> list[str]:
    logs = str((directory.jobs / "logs").resolve()).replace("%", "%%")
    options = [
        f"--job-name={submission.job_name}",
        f"--array=0-{submission.num_workers - 1}",
        f"--output={shlex.quote(f'{logs}/%A_%a.log')}",
        "--open-mode=append",
        "--export=ALL",
        "--requeue",
        f"--signal=B:TERM@{GRACE_S}",
        "--nodes=1",
        "--ntasks=1",
    ]
    if cluster.gpus_per_worker:
        options.append(f"--gres=gpu:{cluster.gpus_per_worker}")
    named = {"partition": cluster.partition, "account": cluster.account, "time": cluster.time}
    options += [f"--{name}={shlex.quote(value)}" for name, value in named.items() if value]
    return [*options, *cluster.sbatch]
