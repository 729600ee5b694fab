"""Knows what a stage's findings advise to do next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lrrt import Verdict
from pipeline.report import StageReport
from studies import OverfitVerdict, TrialResult

EDGE = 0.1  # a rate within this part of the bounds, in log rate, lies at their end
LATE = 0.75  # a best trial after this part of the study came late
MANY = 0.3  # so many diverging trials are worth a word
FEW_TRIALS = 8  # fewer say nothing about late or early

_BY_OVERFITTING = {
    OverfitVerdict.UNDERFITTED: "Its validation loss was still falling: raise [study] epochs and run again.",
    OverfitVerdict.OVERFITTED: (
        "It overfitted after its best epoch. The saved model is the one of the best epoch, before the rise; more data, "
        "augmentation, dropout or weight decay may lower the loss further."
    ),
    OverfitVerdict.UNSTABLE: "Its training became unstable: prefer a schedule that decays, or a lower rate.",
    OverfitVerdict.DIVERGED: "It diverged after its best epoch: prefer a schedule that decays, or a lower rate.",
    OverfitVerdict.TOO_FEW_EPOCHS: "It has too few epochs to tell over- from underfitting: raise [study] epochs.",
}
# A trial that ended early, because it had stopped improving, would not use more epochs.
_ASKS_FOR_EPOCHS = {OverfitVerdict.UNDERFITTED, OverfitVerdict.TOO_FEW_EPOCHS}


def advise(report: StageReport) -> tuple[str, ...]:
    """Return what to do next, the most important first; each is a sentence or two."""
    return (*_about_best(report), *_about_study(report.trials, report.best), *_about_range_tests(report))


def _about_best(report: StageReport) -> Iterator[str]:
    model = report.summary["best"]["model_file"]
    if model:
        yield f"Use {model}: it is the best trial's model as it was after its best epoch."
    advice = _BY_OVERFITTING.get(report.overfitting.verdict)
    is_cut_short = len(report.best.val_losses) < report.best.planned_epochs
    if advice and not (is_cut_short and report.overfitting.verdict in _ASKS_FOR_EPOCHS):
        yield advice
    config = report.best.config
    found = next(found for found in report.space.optimizers if found.name == config.optimizer_name)
    place = math.log(config.lr / found.low) / math.log(found.high / found.low)
    if not EDGE <= place <= 1 - EDGE:
        end, low, high = ("upper", found.low, found.high * 10) if place > 0.5 else ("lower", found.low / 10, found.high)
        yield (
            f"Its rate lies at the {end} end of the bounds of {found.name}. To search beyond, give the range by hand: "
            f"lrrt search search.toml --range {found.name}={low:.1e}:{high:.1e}"
        )


def _about_study(trials: Sequence[TrialResult], best: TrialResult) -> Iterator[str]:
    if len(trials) >= FEW_TRIALS and best.number >= LATE * len(trials):
        yield (
            f"The best trial came late, as number {best.number} of {len(trials)}: more trials may find a better one. "
            f"--trials {2 * len(trials)} goes on from here."
        )
    diverged = sum(trial.state.name == "DIVERGED" for trial in trials)
    if diverged > MANY * len(trials):
        yield f"{diverged} of {len(trials)} trials diverged: the upper bounds may be too high for long trainings."
    failed = sum(trial.state.name == "FAILED" for trial in trials)
    if failed:
        yield f"{failed} of {len(trials)} trials raised an error: see the failures below."


def _about_range_tests(report: StageReport) -> Iterator[str]:
    for name, found in report.range_test.bounds.items():
        if found.verdict is not Verdict.FOUND:
            yield f"Range test of {name}: {found.reason}."
