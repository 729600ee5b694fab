"""Report the progress of a run, without a change to it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from lrrt.words import on_one_line, score_text
from pipeline.config.tables import StageConfig
from pipeline.report.reading import is_complete
from pipeline.run import Run
from pipeline.state.run_lock import holder_of
from pipeline.state.stored import read_task
from pipeline.steps.opening import earlier, with_given
from pipeline.steps.range_tests import some_are_stored
from pipeline.steps.widening import Studies
from pipeline.workers.submission import jobs_in_words, read_jobs
from studies import TrialResult, best_of


def read_status(config: StageConfig, *, out: Path | str = "out", state: Path | str = "state") -> dict[str, Any]:
    """Return the progress of a run as plain data; a run that is going on is not disturbed.

    `phase` is "not started", "range tests", "study" or "done"; `holder` is the process that works on it, or None;
    `slots` and `workers` are those of the study that runs, None if there is none yet; seconds since a worker's last
    sign of life are by the storage's clock, not by a machine's. `jobs` are those of `lrrt submit` that the cluster's
    queue still has, or None if none were submitted.

    Raises:
        ForeignRun: if the folders belong to another study.
    """
    run = with_given(Run.make(config, out, state))
    opened = earlier(run)
    studies = None if opened is None else opened.studies
    results = [] if studies is None else studies.results()
    best = best_of(results, max_gap=config.study.max_gap)
    if opened is not None:
        phase = "done" if studies is not None and is_complete(run, studies) else "study"
    else:
        phase = "range tests" if read_task(run.directory) is not None or some_are_stored(run) else "not started"
    return {
        "schema_version": 1,
        "phase": phase,
        "holder": holder_of(run.directory.state),
        "num_trials": {
            "wanted": config.study.num_trials if studies is None else studies.num_wanted(config),
            "ended": len(results),
            **Counter(result.state.name.lower() for result in results),
        },
        "best": None if best is None else best.as_dict(),
        **_shared(studies),
        "jobs": read_jobs(config.cluster, run.directory),
    }


def in_words(status: dict[str, Any]) -> str:
    """Return a status as a line of text."""
    counts = status["num_trials"]
    ended, wanted = counts["ended"], counts["wanted"]
    line = f"{status['phase']}: {ended} of {max(ended, wanted)} trials have ended"
    line += f", more than the {wanted} of the config" if ended > wanted else ""
    if status["best"]:
        best = TrialResult.from_dict(status["best"])
        line += f", best {best.objective.label} {score_text(best.score)} in trial {best.number}"
    holder = status["holder"]
    if status["slots"] and status["slots"]["running"]:
        line += f"; {status['slots']['running']} in training, {status['slots']['waiting']} wait"
        line += "".join(f"; {_worker_in_words(worker)}" for worker in status["workers"] if worker["trial"] is not None)
    line += f"; {f'running as process {holder}' if holder else 'no process works on it'}"
    return on_one_line("; ".join(filter(None, [line, jobs_in_words(status["jobs"])])))


def _shared(studies: Studies | None) -> dict[str, Any]:
    if studies is None:
        return {"slots": None, "workers": None}
    progress = studies.last.progress()
    return {
        "slots": {
            "all": progress.budget,
            "waiting": progress.num_open,
            "running": progress.num_running,
            "ended": progress.num_ended,
        },
        "workers": [
            {
                "id": seen.worker.id,
                "place": seen.worker.place,
                "trial": seen.key,
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
