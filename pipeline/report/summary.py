"""Sum up the findings of a stage, as summary.json."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from lrrt import Bounds, RangeTestResult
from lrrt.plain import from_plain, to_plain
from lrrt.words import score_text
from pipeline.data.data_use import DataUse
from pipeline.report.savings import cuts_of
from pipeline.results.models import SavedModels
from pipeline.results.summary_file import (
    Best,
    Cost,
    EpochsSaved,
    Narrowing,
    RetrainedTrial,
    SearchedRange,
    Summary,
    TrainingCost,
)
from pipeline.results.versions import versions
from studies import (
    AtEdge,
    Evaluation,
    OptimizerRange,
    OverfitReport,
    Retrained,
    SearchSpace,
    TrialResult,
    TrialState,
    pareto_front,
)
from studies.objective import VAL_LOSS, Objectives

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class StageReport:
    """The findings of a stage.

    Attributes:
        range_test: curves and bounds.
        space: what was searched; the wider bounds if the search went on in such.
        trials: all that have ended, in the order of their numbers.
        best: the winner.
        overfitting: what the winner's losses show.
        summary: the content of summary.json.
        summary_path: of that file.
        retrained: the best few trials with their further trainings, the best mean first.
        edge: the end of its bounds at which the winner's rate lies, if any.
        widened: the edge of the best rate each time that the search went on in wider bounds.
        notes: sentences about what of the model is not searched.
        evaluation: what the winner's model shows of the data.
        objectives: of the study.
        compiled: sentences on whether XLA trained the trials.
    """

    range_test: RangeTestResult
    space: SearchSpace
    trials: tuple[TrialResult, ...]
    best: TrialResult
    overfitting: OverfitReport
    summary: Mapping[str, Any]
    summary_path: Path
    retrained: tuple[Retrained, ...] = ()
    edge: AtEdge | None = None
    widened: tuple[AtEdge, ...] = ()
    notes: tuple[str, ...] = ()
    evaluation: Evaluation | None = None
    objectives: Objectives = (VAL_LOSS,)
    compiled: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """What must be said before anything else of a winner that learnt nothing; else ""."""
        warning = "" if self.evaluation is None else self.evaluation.warning(self.best)
        return f"the best validation loss, {score_text(self.best.score)}, is {warning}" if warning else ""

    @property
    def front(self) -> list[TrialResult]:
        """The Pareto front of several objectives; empty for one."""
        return pareto_front(self.trials, self.objectives) if len(self.objectives) > 1 else []


@dataclass(frozen=True, slots=True)
class Origin:
    """What a study came from.

    Attributes:
        data: how the data was split and used.
        model: the facts that distinguish the model with its default hyperparameters from others.
        warm_start: the earlier study from which this one started, if any.
        range_test_seconds: the duration of the range tests.
    """

    data: DataUse = field(default_factory=DataUse)
    model: Mapping[str, Any] = field(default_factory=dict)
    warm_start: Mapping[str, Any] | None = None
    range_test_seconds: float = 0.0


def summarise(report: StageReport, models: SavedModels, origin: Origin = Origin()) -> dict[str, Any]:
    """Return the content of summary.json: plain data, with None for numbers that are missing or not finite.

    Args:
        report: the findings; its `summary` is not read.
        models: the models that were saved.
        origin: what the study came from.
    """
    trials = report.trials
    states = Counter(trial.state.name.lower() for trial in trials)
    searched = {one.label: _searched(one, report) for one in report.space.optimizers}
    summary = Summary(
        schema_version=SCHEMA_VERSION,
        status="done",
        versions=versions(),
        best=_best(report, models),
        pareto_front=tuple(trial.number for trial in report.front),
        top=models.top,
        retrained=tuple(from_plain(RetrainedTrial, one.as_dict()) for one in report.retrained),
        bounds=searched,
        widened=report.widened,
        data=origin.data,
        model=origin.model,
        warm_start=origin.warm_start,
        narrowing=_narrowing(report.range_test, report.space, states["diverged"]),
        num_trials={"ended": len(trials), **states},
        cost=Cost(
            range_test_steps=report.range_test.num_steps,
            range_test_seconds=origin.range_test_seconds,
            trial_steps=sum(trial.num_steps for trial in trials),
            trial_seconds=round(sum(trial.seconds for trial in trials), 3),
            epochs=sum(len(trial.train_losses) * max(1, len(trial.fold_scores)) for trial in trials),
            epochs_saved=_epochs_saved(trials),
            cuts=cuts_of(trials),
            retraining=_cost_of([training.result for one in report.retrained for training in one.trainings]),
        ),
    )
    plain: dict[str, Any] = to_plain(summary)
    return plain


def _best(report: StageReport, models: SavedModels) -> Best:
    best = report.best
    again = next((one for one in report.retrained if one.trial.number == best.number), None)
    return Best(
        **{one.name: getattr(best, one.name) for one in fields(best)},
        mean_score=None if again is None else again.mean_score,
        spread=None if again is None else again.judged.spread,
        test=models.test,
        model_file=models.best.file,
        loading_code=models.best.loading_code,
        refitted=models.refitted,
        overfitting=report.overfitting,
        overfitting_sentence=report.overfitting.verdict.value,
        evaluation=report.evaluation,
        at_edge=report.edge,
    )


def _searched(searched: OptimizerRange, report: StageReport) -> SearchedRange:
    range_test, space = report.range_test, report.space
    tested = _tested(searched, range_test, space)
    high = searched.highest_peak(space.schedules)
    inside = [trial for trial in report.trials if space.range_of(trial.config) == searched]
    return SearchedRange(
        low=searched.low,
        high=high,
        suggested=searched.suggested,
        verdict=tested.verdict,
        reason=tested.reason,
        is_fallback=searched.is_fallback,
        width_decades=math.log10(high / searched.low),
        original_width_decades=math.log10(range_test.ramp.end_lr / range_test.ramp.start_lr),
        num_trials=len(inside),
        num_diverged=sum(trial.state is TrialState.DIVERGED for trial in inside),
    )


def _tested(searched: OptimizerRange, range_test: RangeTestResult, space: SearchSpace) -> Bounds:
    """Return the bounds from which a range was taken; bounds of a file may have been tested at more batch sizes."""
    if searched.label in range_test.bounds:
        return range_test.bounds[searched.label]
    return range_test.bounds_for(searched.name, space.batch_sizes[0])


def _narrowing(range_test: RangeTestResult, space: SearchSpace, num_diverged: int) -> Narrowing:
    whole = math.log10(range_test.ramp.end_lr / range_test.ramp.start_lr) * len(space.optimizers)
    searched = sum(math.log10(one.highest_peak(space.schedules) / one.low) for one in space.optimizers)
    return Narrowing(whole, searched, num_diverged)


def _epochs_saved(trials: Sequence[TrialResult]) -> EpochsSaved:
    saved: Counter[TrialState] = Counter()
    for trial in trials:
        saved[trial.state] += trial.epochs_saved
    return EpochsSaved(saved[TrialState.COMPLETED], saved[TrialState.PRUNED], saved[TrialState.DIVERGED])


def _cost_of(trainings: Sequence[TrialResult]) -> TrainingCost:
    return TrainingCost(
        trainings=len(trainings),
        steps=sum(result.num_steps for result in trainings),
        epochs=sum(len(result.train_losses) for result in trainings),
        seconds=round(sum(result.seconds for result in trainings), 3),
    )
