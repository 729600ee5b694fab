"""Knows how far a run has come, without touching it."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.config.tables import StageConfig
from pipeline.console.events import printable
from pipeline.report.files import is_complete
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import kept_range_test, kept_task
from pipeline.steps.widening import Studies, open_studies
from pipeline.workers.queue import jobs_in_words, read_jobs
from studies import NoSuchStudy, OptunaStudy, best_of


def read_status(config: StageConfig, *, out: Path | str = "out", state: Path | str = "state") -> dict[str, Any]:
    """Return how far a run has come, as plain data; a run that is going on is not disturbed.

    `phase` is "not started", "range tests", "study" or "done"; `holder` is the process that works on it, or None;
    `slots` and `workers` are those of the study that runs, None where one process alone can work on it; seconds since a
    worker's last sign of life are by the storage's clock, not by a machine's. `jobs` are those of `lrrt submit` that
    the cluster's queue still has, or None where none were submitted.
    """
    directory = RunDirectory(Path(out), Path(state))
    kept, task = kept_range_test(directory), kept_task(directory)
    studies = None
    if kept is not None and task is not None and _has_study(config, directory):
        with suppress(NoSuchStudy):
            studies = open_studies(config, directory, kept.result, task.own, creates=False)
    results = [] if studies is None else studies.results()
    best = best_of(results, max_gap=config.study.max_gap)
    if kept is None and task is None:
        phase = "not started"
    elif kept is None:
        phase = "range tests"
    else:
        phase = "done" if studies is not None and is_complete(config, directory, studies) else "study"
    return {
        "schema_version": 1,
        "phase": phase,
        "holder": _holder(directory),
        "num_trials": {
            "wanted": config.study.num_trials if studies is None else studies.num_wanted(config),
            "ended": len(results),
            **Counter(result.state.name.lower() for result in results),
        },
        "best": None if best is None else best.as_dict(),
        **_shared(studies),
        "jobs": read_jobs(config.cluster, directory),
    }


def in_words(status: dict[str, Any]) -> str:
    """Return a status as a line of text."""
    counts = status["num_trials"]
    line = f"{status['phase']}: {counts['ended']} of {counts['wanted']} trials have ended"
    if status["best"]:
        line += f", best validation loss {status['best']['score']:.4g} in trial {status['best']['number']}"
    holder = status["holder"]
    if status["slots"] and status["slots"]["running"]:
        line += f"; {status['slots']['running']} in training, {status['slots']['waiting']} wait"
        line += "".join(f"; {_worker_in_words(worker)}" for worker in status["workers"] if worker["trial"] is not None)
    line += f"; {f'running as process {holder}' if holder else 'no process works on it'}"
    return printable("; ".join(filter(None, [line, jobs_in_words(status["jobs"])])))


def _shared(studies: Studies | None) -> dict[str, Any]:
    if studies is None or not isinstance(studies.last, OptunaStudy):
        return {"slots": None, "workers": None}
    progress, first = studies.last.progress(), len(studies.earlier())
    return {
        "slots": {
            "all": progress.num_slots,
            "waiting": progress.num_waiting,
            "running": progress.num_running,
            "ended": progress.num_ended,
        },
        "workers": [
            {
                "id": seen.worker.id,
                "place": seen.worker.place,
                "trial": None if seen.slot is None else first + seen.slot,
                "trials_ended": seen.num_ended,
                "last_seen_s": seen.last_seen_s,
            }
            for seen in progress.workers
        ],
    }


def _worker_in_words(worker: dict[str, Any]) -> str:
    seen = worker["last_seen_s"]
    ago = "has just begun" if seen is None else f"was seen {seen:.0f} s ago"
    return f"worker {worker['id']} trains trial {worker['trial']} and {ago}"


def _has_study(config: StageConfig, directory: RunDirectory) -> bool:
    """Say whether opening the study would read one, not make one."""
    if config.study.engine == "keras_tuner":
        return (directory.state / "keras_tuner").exists()
    return bool(config.study.storage) or directory.database.exists()


def _holder(directory: RunDirectory) -> str | None:
    if not directory.is_locked():
        return None
    try:
        holder = json.loads((directory.state / "lock_holder.json").read_text(encoding="utf-8"))
        return f"{holder['pid']} on {holder['host']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "unknown"
