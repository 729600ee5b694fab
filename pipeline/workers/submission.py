"""Hand a stage to a cluster, and say what is left of it in the cluster's queue."""

from __future__ import annotations

import json
import os
import secrets
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.tables import ClusterConfig, StageConfig
from pipeline.console.events import StageDone, StageStarted
from pipeline.failures import NoSharedStorage, RunLocked, SlurmError
from pipeline.run import Run
from pipeline.state.json_files import write_json
from pipeline.state.run_directory import RunDirectory
from pipeline.workers.jobs import Submission, script, script_file
from pipeline.workers.slurm import QueuedTask, cancel_jobs, queued, submit_job
from studies.storage.whole_file import write_text

TAG_BYTES = 3


def new_submission(
    config: StageConfig, *, num_workers: int, config_file: Path, options: Mapping[str, object]
) -> Submission:
    """Return a new submission.

    Args:
        config: of the stage.
        num_workers: tasks at a time.
        config_file: of the stage.
        options: of `lrrt run`, by name; those that are None are left out.
    """
    arguments = [str(config_file.resolve())]
    for name, value in options.items():
        if value is not None:
            arguments += [f"--{name}", str(value.resolve() if isinstance(value, Path) else value)]
    num_pieces = max(config.study.num_trials, len(config.range_test.optimizers))
    needs_storage = bool(os.environ.get("LRRT_STORAGE"))
    return Submission(secrets.token_hex(TAG_BYTES), min(num_workers, num_pieces), tuple(arguments), needs_storage)


def submit(run: Run, submission: Submission) -> None:
    """Hand a stage, or what is left of it, to Slurm: an array of tasks, and further arrays if some of its tasks fail.

    Raises:
        NoSharedStorage: if the tasks would not share one.
        RunLocked: if jobs of an earlier submission are still in the queue.
        SlurmError: if Slurm refuses a job; those before it are cancelled.
    """
    check_storage(run.config)
    directory = run.directory
    if tasks := tasks_in_queue(directory):
        names = ", ".join(sorted({task.job for task in tasks}))
        raise RunLocked(f"{directory.state} has jobs in the queue: {names}. Wait for their end, or `scancel` them.")
    run.tell(StageStarted(f"an array of {submission.num_workers} tasks", directory.out))
    write_json(directory.submission, {"tag": submission.tag, "num_workers": submission.num_workers})
    write_text(script_file(directory), script(submission, run.config.cluster, directory))
    (directory.jobs / "logs").mkdir(exist_ok=True)  # Slurm makes no folder for a log
    ids: list[str] = []
    try:
        for _ in range(run.config.cluster.max_rounds):
            ids.append(submit_job(script_file(directory), if_failed=ids[-1] if ids else None))
    except SlurmError:
        if ids:
            cancel_jobs(ids)
        raise
    later = f", and {', '.join(ids[1:])} if tasks of it fail" if ids[1:] else ""
    run.tell(StageDone(f"submitted job {ids[0]}{later}; `lrrt status` says how far the run is"))


def print_job(run: Run, submission: Submission, say: Callable[[str], None]) -> None:
    """Say the job that would be handed over; write nothing.

    Raises:
        NoSharedStorage: if its tasks would not share one.
    """
    if run.config.cluster.kind == "slurm":
        check_storage(run.config)
    say(f"# sbatch --parsable {shlex.quote(str(script_file(run.directory)))}")
    say(script(submission, run.config.cluster, run.directory))


def check_storage(config: StageConfig) -> None:
    """Refuse a storage that several machines do not share.

    Raises:
        NoSharedStorage: for none, and for SQLite.
    """
    storage = config.study.storage
    if not storage or storage.startswith("sqlite"):
        raise NoSharedStorage(
            f"Workers on several machines must share a database server, got {'SQLite' if storage else 'no storage'}. "
            "Give the URL of a PostgreSQL database in LRRT_STORAGE."
        )


def tasks_in_queue(directory: RunDirectory) -> list[QueuedTask]:
    """Return the tasks of the last submission that the queue still has.

    Raises:
        SlurmError: if the queue cannot be asked.
    """
    tag = _stored_tag(directory)
    return [] if tag is None else queued(f"lrrt-{tag}")


def read_jobs(cluster: ClusterConfig, directory: RunDirectory) -> dict[str, Any] | None:
    """Return the workers of the last submission by state, as plain data; None if nothing was submitted."""
    if cluster.kind == "local" or _stored_tag(directory) is None:
        return None
    try:
        tasks = tasks_in_queue(directory)
    except SlurmError as error:
        return {"error": str(error)}
    counted = {
        "states": Counter(task.state for task in tasks),
        "waits_for": Counter(task.reason for task in tasks if task.state == "pending"),
    }
    return {"workers": counted} if tasks else {}


def jobs_in_words(jobs: Mapping[str, Any] | None) -> str:
    """Return the jobs as a part of a sentence; nothing if nothing was submitted.

    >>> jobs_in_words({"workers": {"states": {"running": 3, "pending": 1}, "waits_for": {"Resources": 1}}})
    'jobs: workers 3 running 1 pending (Resources)'
    """
    if jobs is None:
        return ""
    if "error" in jobs:
        return f"jobs unknown: {jobs['error']}"
    if not jobs:
        return "jobs: none in the queue"
    states = " ".join(f"{count} {state}" for state, count in jobs["workers"]["states"].items())
    reasons = ", ".join(jobs["workers"]["waits_for"])
    return f"jobs: workers {states}" + (f" ({reasons})" if reasons else "")


def _stored_tag(directory: RunDirectory) -> str | None:
    try:
        return str(json.loads(directory.submission.read_text(encoding="utf-8"))["tag"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
