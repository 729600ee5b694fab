"""Knows what `lrrt submit` handed over, and what is left of it in the cluster's queue."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

from pipeline.config.tables import ClusterConfig
from pipeline.state.json_files import write_json
from pipeline.state.run_directory import RunDirectory
from pipeline.workers.jobs import Part, Submission, job_name
from pipeline.workers.slurm import QueuedTask, SlurmError, queued


def keep_submission(directory: RunDirectory, submission: Submission) -> None:
    """Keep what all jobs share; that they find it there shows them that they see the folder."""
    write_json(directory.submission, {"tag": submission.tag, "num_workers": submission.num_workers})


def kept_tag(directory: RunDirectory) -> str | None:
    """Read what tells the jobs of the last submission from all others; None where there was none."""
    try:
        return str(json.loads(directory.submission.read_text(encoding="utf-8"))["tag"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def tasks_in_queue(directory: RunDirectory) -> list[QueuedTask]:
    """Return the tasks of the last submission that the queue still has.

    Raises:
        SlurmError: where the queue cannot be asked.
    """
    tag = kept_tag(directory)
    return [] if tag is None else queued([job_name(tag, part) for part in get_args(Part)])


def read_jobs(cluster: ClusterConfig, directory: RunDirectory) -> dict[str, Any] | None:
    """Return the jobs of the last submission by part and state, as plain data; None where none were submitted."""
    if cluster.kind == "local" or kept_tag(directory) is None:
        return None
    try:
        tasks = tasks_in_queue(directory)
    except SlurmError as error:
        return {"error": str(error)}
    return {part: _counted(own) for part in get_args(Part) if (own := [task for task in tasks if task.part == part])}


def jobs_in_words(jobs: Mapping[str, Any] | None) -> str:
    """Return the jobs as a part of a sentence; nothing where none were submitted.

    >>> jobs_in_words({"workers": {"states": {"running": 3, "pending": 1}, "waits_for": {"Resources": 1}}})
    'jobs: workers 3 running 1 pending (Resources)'
    """
    if jobs is None:
        return ""
    if "error" in jobs:
        return f"jobs unknown: {jobs['error']}"
    told = []
    for part, found in jobs.items():
        states = " ".join(f"{count} {state}" for state, count in found["states"].items())
        told.append(f"{part} {states}" + (f" ({', '.join(found['waits_for'])})" if found["waits_for"] else ""))
    return f"jobs: {', '.join(told)}" if told else "jobs: none in the queue"


def _counted(tasks: list[QueuedTask]) -> dict[str, Counter[str]]:
    return {
        "states": Counter(task.state for task in tasks),
        "waits_for": Counter(task.reason for task in tasks if task.state == "pending"),
    }
