"""Make the rows of the report's tables: optimizers with their bounds, best trials, and how the others ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from lrrt.words import digits_text, rate_text, score_text
from pipeline.report.summary import StageReport
from studies import (
    Evaluation,
    OverfitReport,
    OverfitVerdict,
    TrialResult,
    TrialState,
    best_of,
    check_overfitting,
    ranked,
)

NUM_BEST = 5
NUMBER = re.compile(r"\d[\d.,e+-]*")
ENDED_BY = {TrialState.COMPLETED: "it had stopped improving", TrialState.TIMED_OUT: "its time was used up"}
# If a trial ended early because it had stopped improving, these verdicts do not mean that it should go on.
ASKS_FOR_EPOCHS = {OverfitVerdict.UNDERFITTED, OverfitVerdict.TOO_FEW_EPOCHS}


@dataclass(frozen=True, slots=True)
class OptimizerRow:
    """One optimizer, or one at one batch size: the rates that were searched for it, and the scores of its trials."""

    name: str
    low: float
    high: float
    suggested: float | None
    decades: float
    verdict: str
    num_trials: int
    num_diverged: int
    best: float | None
    median: float | None


@dataclass(frozen=True, slots=True)
class BestRow:
    """One of the best trials, the verdict on its losses, and what is said of it if it learnt nothing."""

    trial: TrialResult
    overfitting: OverfitReport
    warning: str = ""

    @property
    def is_cut_short(self) -> bool:
        """Whether it ended before its planned epochs, so that its losses cannot show the effect of more epochs."""
        is_short = len(self.trial.val_losses) < self.trial.planned_epochs
        return is_short and self.overfitting.verdict in ASKS_FOR_EPOCHS

    @property
    def verdict(self) -> str:
        """The verdict on its losses, in a few words."""
        if self.warning:
            return "no better than a constant answer"
        if self.trial.state is TrialState.TIMED_OUT:
            return "timed out"
        return "stopped early" if self.is_cut_short else self.overfitting.verdict.name.lower().replace("_", " ")

    @property
    def finding(self) -> str:
        """The verdict on its losses, with its numbers."""
        if self.warning:
            return f"the best of them is {self.warning}"
        if not self.is_cut_short:
            return self.overfitting.reason
        ended = f"it ended after {len(self.trial.val_losses)} of {self.trial.planned_epochs} epochs"
        return f"{ended}, because {ENDED_BY[self.trial.state]}"

    @property
    def schedule(self) -> str:
        """The schedule with its values, such as "step (factor 0.5)"."""
        values = ", ".join(
            f"{name.replace('_', ' ')} {digits_text(value, 3)}" for name, value in self.trial.config.schedule_parameters
        )
        return f"{self.trial.config.schedule} ({values})" if values else self.trial.config.schedule


@dataclass(frozen=True, slots=True)
class Ending:
    """The trials that were not trained to their end and ended alike; `error` is the first one's."""

    sentence: str
    error: str
    numbers: tuple[int, ...]


def optimizer_rows(report: StageReport) -> list[OptimizerRow]:
    """Return one row for each range that was searched, in the order of the config."""
    rows = []
    for searched in report.space.optimizers:
        facts = report.summary["bounds"][searched.label]
        inside = (trial for trial in report.trials if report.space.range_of(trial.config) == searched)
        scored = completed(inside)
        scores = [trial.score for trial in scored if trial.score is not None]
        best = best_of(scored)
        rows.append(
            OptimizerRow(
                name=searched.label,
                low=facts["low"],
                high=facts["high"],
                suggested=facts["suggested"],
                decades=facts["width_decades"],
                verdict=f"{facts['reason']}; the fallback range was searched"
                if searched.is_fallback
                else facts["reason"],
                num_trials=facts["num_trials"],
                num_diverged=facts["num_diverged"],
                best=None if best is None else best.score,
                median=median(scores) if scores else None,
            )
        )
    return rows


def best_rows(
    trials: Sequence[TrialResult], max_gap: float | None, evaluation: Evaluation | None = None
) -> list[BestRow]:
    """Return the best trials in the order of a study with this `max_gap`; `evaluation` is the winner's."""
    return [row_of(trial, evaluation) for trial in ranked(trials, max_gap=max_gap)[:NUM_BEST]]


def row_of(trial: TrialResult, evaluation: Evaluation | None = None) -> BestRow:
    """Return the row of a completed trial; `evaluation` is the winner's."""
    warning = "" if evaluation is None else evaluation.warning(trial)
    return BestRow(trial, check_overfitting(trial.train_losses, trial.val_losses), warning)


def endings(trials: Iterable[TrialResult]) -> list[Ending]:
    """Group the trials that were not trained to their end by how they ended and with which error.

    Errors that differ only in their numbers are one group, and the first of them is its error.
    """
    groups: dict[tuple[str, str], list[TrialResult]] = {}
    for trial in trials:
        if not trial.is_candidate:
            groups.setdefault((trial.state.value, NUMBER.sub("", trial.error)), []).append(trial)
    all_endings = [
        Ending(sentence, alike[0].error, tuple(trial.number for trial in alike))
        for (sentence, _), alike in groups.items()
    ]
    return sorted(all_endings, key=lambda ending: -len(ending.numbers))


def as_text(optimizers: Iterable[OptimizerRow], best: Iterable[BestRow]) -> str:
    """Return the bounds and the best trials as two tables of Markdown, which a page or a message takes."""
    bounds = [
        (row.name, rate_text(row.low), rate_text(row.high), rate_text(row.suggested), str(row.num_trials))
        for row in optimizers
    ]
    trials = [
        (
            str(row.trial.number),
            score_text(row.trial.score),
            row.trial.config.optimizer_name,
            rate_text(row.trial.config.lr),
            row.schedule,
            str(row.trial.config.batch_size),
        )
        for row in best
    ]
    first = _markdown(("optimizer", "low", "high", "suggested", "trials"), bounds)
    return f"{first}\n\n{_markdown(('trial', 'score', 'optimizer', 'rate', 'schedule', 'batch size'), trials)}"


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


def completed(trials: Iterable[TrialResult]) -> list[TrialResult]:
    """Return the trials that have a score and were trained to their end."""
    return [trial for trial in trials if trial.is_candidate]
