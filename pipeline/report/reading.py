"""Read the report of a run from its folder, and say whether the folder is complete."""

from __future__ import annotations

import json
from typing import Any

from lrrt import RangeTestResult
from lrrt.plain import from_plain
from pipeline.config.study_table import AFTER_SEARCH
from pipeline.config.toml import load_config
from pipeline.failures import CorruptState
from pipeline.report.savings import used_jit
from pipeline.report.summary import StageReport
from pipeline.results.manifest import changed_files
from pipeline.run import Run
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import read_task
from pipeline.steps.arms import about_arms, edge_of, shown_space
from pipeline.steps.retraining import stored_retrained
from pipeline.steps.widening import Studies
from studies import Evaluation, OverfitReport


def read_report(run: Run, range_test: RangeTestResult, studies: Studies) -> StageReport:
    """Return the report of a run whose summary is written.

    Raises:
        CorruptState: if the summary is not what was written.
    """
    space, results = shown_space(run, range_test, studies.last), studies.results()
    task = read_task(run.directory)
    try:
        summary = read_summary(run.directory)
        best = next(result for result in results if result.number == summary["best"]["number"])
        evaluation = summary["best"].get("evaluation")  # older files do not have it
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise CorruptState(
            f"{run.directory.summary} must hold the summary of this run, but cannot be read as one ({error!r:.200}). "
            "`lrrt run` with the same config and folders makes it again."
        ) from error
    return StageReport(
        range_test,
        space,
        tuple(results),
        best,
        from_plain(OverfitReport, summary["best"]["overfitting"]),
        summary,
        run.directory.summary,
        stored_retrained(run, results),
        edge_of(run.config, best, space),
        studies.edges,
        (*(() if task is None else task.notes), *about_arms(run.config, studies.last, best, space)),
        None if evaluation is None else from_plain(Evaluation, evaluation),
        studies.last.objectives,
        tuple(used_jit(run.config, studies.last.uses_xla())),
    )


def read_summary(directory: RunDirectory) -> dict[str, Any]:
    """Return the content of summary.json."""
    summary: dict[str, Any] = json.loads(directory.summary.read_text(encoding="utf-8"))
    return summary


def is_complete(run: Run, studies: Studies) -> bool:
    """Say whether all trials have ended, and the folder has their results, each file as it was written.

    The keys of the config for the steps after the search must also be unchanged.
    """
    num_ended, config, directory = len(studies.results()), run.config, run.directory
    try:
        summary = read_summary(directory)
        written = load_config(directory.resolved_config, environ={}).study
        return (
            studies.have_ended(config)
            and summary["num_trials"]["ended"] == num_ended
            and not changed_files(directory)
            and all(getattr(written, key) == getattr(config.study, key) for key in AFTER_SEARCH)
        )
    except (OSError, ValueError, KeyError, TypeError):  # a ConfigError is a ValueError
        return False
