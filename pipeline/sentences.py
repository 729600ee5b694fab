"""Say in a sentence how a run begins, what its validation data is, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lrrt.words import rate_text, score_text
from pipeline.report.summary import StageReport
from pipeline.run import Run
from pipeline.steps.arms import has_arms
from pipeline.steps.opening import Opened
from pipeline.task.fingerprints import study_fields

if TYPE_CHECKING:
    from pipeline.task.preparation import Prepared


def beginning(run: Run, opened: Opened | None) -> str:
    """Say whether a run starts or goes on, and what is done."""
    if opened is None:
        number = run.config.study.num_trials
        first = "range tests, then " if run.given is None and not has_arms(run.config) else ""
        return (
            f"start: {first}{number} trial{'' if number == 1 else 's'}{'' if run.given is None else ' in given bounds'}"
        )
    num_done, num_wanted = 0, run.config.study.num_trials
    if opened.studies is not None:
        num_done, num_wanted = len(opened.studies.results()), opened.studies.num_wanted(run.config)
    tested = opened.bounds.result.bounds
    of_some = f" of {', '.join(tested)}" if has_arms(run.config) else ""
    known = f"range tests{of_some} are done" if run.given is None else "bounds were given"
    return f"resume: {known}, {num_done} of {num_wanted} trials have ended"


def about_source(run: Run, opened: Opened | None, prepared: Prepared) -> Iterator[str]:
    """Say that the user's code has changed since the run began, if its data and model show nothing of that."""
    if opened is None or opened.task.source == prepared.known_by.source:
        return
    if opened.fields == study_fields(run.config, prepared.known_by, run.given):
        yield (
            "the code of the task has changed, but its data and its model are the same, so the run goes on; give it "
            "its own --out and --state if the change matters"
        )


def nothing_left(report: StageReport) -> str:
    """Say that a run has ended before."""
    return f"nothing left to do: all {len(report.trials)} trials have ended"


def conclusion(report: StageReport) -> str:
    """Say what the best trial is."""
    best, mean = report.best, report.summary["best"]["mean_score"]
    again = "" if mean is None else f" ({score_text(mean)} in the mean of its further trainings)"
    return (
        f"best is trial {best.number}: {best.objective.label} {score_text(best.score)}{again} after epoch "
        f"{best.best_epoch}, {best.config.optimizer_name} with lr {rate_text(best.config.lr)} {best.config.schedule}, "
        f"batches of {best.config.batch_size}; {report.warning or report.overfitting.verdict.value}"
    )
