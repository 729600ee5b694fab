"""Knows the jobs of a stage on a cluster: what each runs, in how many tasks, after which other, and its script."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.config.tables import ClusterConfig, StageConfig
from pipeline.state.run_directory import RunDirectory

GRACE_S = 120  # from the warning to the time limit: an epoch ends, and the trial is kept
LOST = 74  # the exit code of a job that does not see the state folder
TASK = '"$task"'

Part = Literal["range", "study", "workers", "finish"]


@dataclass(frozen=True, slots=True)
class Job:
    """One job, or an array of tasks.

    Attributes:
        part: what it is for.
        command: the arguments of `lrrt`, as shell; `"$task"` in them is the number of the task.
        num_tasks: how many of them the array has; None is a job of its own.
        after: the part that it waits for.
        whatever_happened: whether it starts also where that part failed.
        setup: shell that comes before the command.
    """

    part: Part
    command: str
    num_tasks: int | None = None
    after: Part | None = None
    whatever_happened: bool = True
    setup: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """What all jobs of one `lrrt submit` share.

    Attributes:
        tag: tells this submission's jobs from all others, also where the controller gives a job's id out again.
        num_workers: tasks of a round, at most.
        arguments: what follows each command: the config, the folders and the options that stand over the config.
        num_trials: what stands over the config's; None is not said.
        needs_storage: whether the storage comes to each job through its environment, and from nowhere else.
    """

    tag: str
    num_workers: int
    arguments: tuple[str, ...]
    num_trials: int | None
    needs_storage: bool

    def command(self, name: str, *options: str) -> str:
        """Return a command of all jobs, as shell."""
        return " ".join([name, shlex.join(self.arguments), *options])

    def trials(self) -> list[str]:
        """Return the option that says how many trials there are."""
        return [] if self.num_trials is None else [f"--trials {self.num_trials}"]


def all_jobs(submission: Submission, config: StageConfig, *, has_bounds: bool) -> list[Job]:
    """Return the jobs of a stage; range tests that have ended are not repeated."""
    optimizers = config.range_test.optimizers
    tests = Job(
        "range",
        submission.command("range", '--only "${optimizers[$task]}"'),
        num_tasks=len(optimizers),
        setup=f"optimizers=({shlex.join(optimizers)})",
    )
    study = Job("study", submission.command("gather", *submission.trials()), after=None if has_bounds else "range")
    return [*([] if has_bounds else [tests]), study, *round_jobs(submission, config.study.num_trials, 1, after="study")]


def round_jobs(submission: Submission, num_slots: int, number: int, *, after: Part | None = None) -> list[Job]:
    """Return a round of workers for so many slots, and the job that comes after it; rounds count from 1."""
    num_workers = min(submission.num_workers, num_slots)
    name = f"--worker-id {submission.tag}.{number}.{TASK}"
    after_it = [f"--workers {submission.num_workers}", f"--round {number}", f"--tag {submission.tag}"]
    finish = submission.command("finish", *submission.trials(), *after_it)
    return [
        Job("workers", submission.command("worker", name), num_workers, after=after, whatever_happened=False),
        Job("finish", finish, after="workers"),
    ]


def job_name(tag: str, part: Part) -> str:
    """Return the name by which the queue knows a job."""
    return f"lrrt-{tag}-{part}"


def script(job: Job, submission: Submission, cluster: ClusterConfig, directory: RunDirectory) -> str:
    """Return the job's script; `bash SCRIPT TASK` runs a task of it by hand."""
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in _options(job, submission, cluster, directory)), ""]
    mark = shlex.quote(str(directory.submission.resolve()))
    told = shlex.quote(f"lrrt: every node must see {directory.state.resolve()}, but this one does not:")
    lines += [f'[ -e {mark} ] || {{ echo {told} "$(hostname)" >&2; exit {LOST}; }}']
    if submission.needs_storage:
        lines.append(': "${LRRT_STORAGE:?the storage must come to each job through its environment}"')
    if job.num_tasks is not None:
        lines.append('task="${1:-$SLURM_ARRAY_TASK_ID}"')
    lines += [*filter(None, [job.setup]), f"exec {shlex.quote(sys.executable)} -m pipeline {job.command}"]
    return "\n".join(lines) + "\n"


def script_file(job: Job, directory: RunDirectory) -> Path:
    """Return where the job's script is kept."""
    return directory.jobs / f"{job.part}.sh"


def log_file(job: Job, directory: RunDirectory, task: str) -> Path:
    """Return where a task's output goes."""
    return directory.jobs / "logs" / f"{job.part}-{task}.log"


def _options(job: Job, submission: Submission, cluster: ClusterConfig, directory: RunDirectory) -> Sequence[str]:
    log = str(log_file(job, directory, "").resolve()).replace("%", "%%").removesuffix(".log")
    options = [
        f"--job-name={job_name(submission.tag, job.part)}",
        f"--output={shlex.quote(log + ('%j' if job.num_tasks is None else '%A_%a') + '.log')}",
        "--open-mode=append",
        "--export=ALL",
        "--requeue",
        f"--signal=B:TERM@{GRACE_S}",
        "--nodes=1",
        "--ntasks=1",
    ]
    if job.num_tasks is not None:
        options.append(f"--array=0-{job.num_tasks - 1}")
    if cluster.gpus_per_worker:
        options.append(f"--gres=gpu:{cluster.gpus_per_worker}")
    named = {"partition": cluster.partition, "account": cluster.account, "time": cluster.time}
    options += [f"--{name}={shlex.quote(value)}" for name, value in named.items() if value]
    return [*options, *cluster.sbatch]
