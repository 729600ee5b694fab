"""Sum up the findings of a stage, as summary.json."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from lrrt import Bounds, RangeTestResult
from lrrt.plain import from_plain, to_plain
from pipeline.data.data_use import DataUse
from pipeline.report.cuts import cuts_of
from pipeline.results.summary_file import (
    Best,
    Cost,
    EpochsSaved,
    Narrowing,
    RefittedModel,
    RetrainedTrial,
    SearchedRange,
    Summary,
    TopModel,
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
    """The findings of a stage; `summary` is the content of summary.json.

    `best` is the winner. `retrained` are the best few trials with their further trainings, the best mean first. `edge`
    is the end of its bounds at which the winner's rate lies, if any. `widened` has the edge of the best rate each time
    that the search went on in wider bounds; `space` has these wider bounds. `notes` are sentences about what of the
    model is not searched. `evaluation` is what the winner's model shows of the data. `objectives` are those of the
    study.
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

    @property
    def warning(self) -> str:
        """What must be said before anything else of a winner that learnt nothing; else ""."""
        warning = "" if self.evaluation is None else self.evaluation.warning(self.best)
        return f"the best validation loss, {self.best.score:.4g}, is {warning}" if warning else ""

    @property
    def front(self) -> list[TrialResult]:
        """The Pareto front of several objectives; empty for one."""
        return pareto_front(self.trials, self.objectives) if len(self.objectives) > 1 else []


def summarise(
    range_test: RangeTestResult,
    space: SearchSpace,
    trials: Sequence[TrialResult],
    best: TrialResult,
    overfitting: OverfitReport,
    *,
    test: Mapping[str, float] | None,
    model_file: str | None,
    loading_code: str | None = None,
    evaluation: Evaluation | None = None,
    refitted: RefittedModel | None = None,
    top: Sequence[TopModel] = (),
    range_test_seconds: float = 0.0,
    retrained: Sequence[Retrained] = (),
    edge: AtEdge | None = None,
    widened: Sequence[AtEdge] = (),
    objectives: Objectives = (VAL_LOSS,),
    data: DataUse | None = None,
    model: Mapping[str, Any] | None = None,
    warm_start: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of summary.json: plain data, with None for numbers that are missing or not finite.

    Args:
        range_test: the result of the range tests.
        space: the space that was searched.
        trials: all trials that have ended.
        best: the winner among them.
        overfitting: the verdict on the winner's losses.
        test: the winner's metrics on the test data, by name; None if the task has no test data.
        model_file: the file of the winner's model in the folder of the results; None if it cannot be saved.
        loading_code: the Python code that loads that file in the folder of the results.
        evaluation: what the winner's model shows of the data.
        refitted: the winner trained again on training and validation data; None if that was not asked for.
        top: the models of the best few trials, the winner's first.
        range_test_seconds: the duration of the range tests.
        retrained: the best few trials with their further trainings, the best mean first.
        edge: the end of its bounds at which the winner's rate lies, if any.
        widened: the edge of the best rate each time that the search went on in wider bounds.
        objectives: of the study; several have a Pareto front.
        data: how the data was split and used.
        model: the facts that distinguish the model with its default hyperparameters from others.
        warm_start: the earlier study from which this one started, if any.
    """
    front = pareto_front(trials, objectives) if len(objectives) > 1 else ()
    states = Counter(trial.state.name.lower() for trial in trials)
    again = next((one for one in retrained if one.trial.number == best.number), None)
    summary = Summary(
        schema_version=SCHEMA_VERSION,
        status="done",
        versions=versions(),
        best=Best(
            **{field.name: getattr(best, field.name) for field in fields(best)},
            mean_score=None if again is None else again.mean_score,
            spread=None if again is None else again.judged.spread,
            test=test,
            model_file=model_file,
            loading_code=loading_code,
            refitted=refitted,
            overfitting=overfitting,
            overfitting_sentence=overfitting.verdict.value,
            evaluation=evaluation,
            at_edge=edge,
        ),
        pareto_front=tuple(trial.number for trial in front),
        top=tuple(top),
        retrained=tuple(from_plain(RetrainedTrial, one.as_dict()) for one in retrained),
        bounds={one.label: _searched(one, range_test, space, trials) for one in space.optimizers},
        widened=tuple(widened),
        data=data or DataUse(),
        model=model or {},
        warm_start=warm_start,
        narrowing=_narrowing(range_test, space, states["diverged"]),
        num_trials={"ended": len(trials), **states},
        cost=Cost(
            range_test_steps=range_test.num_steps,
            range_test_seconds=range_test_seconds,
            trial_steps=sum(trial.num_steps for trial in trials),
            trial_seconds=round(sum(trial.seconds for trial in trials), 3),
            epochs=sum(len(trial.train_losses) * max(1, len(trial.fold_scores)) for trial in trials),
            epochs_saved=_epochs_saved(trials),
            cuts=cuts_of(trials),
            retraining=_cost_of([training.result for one in retrained for training in one.trainings]),
        ),
    )
    plain: dict[str, Any] = to_plain(summary)
    return plain


def _searched(
    searched: OptimizerRange, range_test: RangeTestResult, space: SearchSpace, trials: Sequence[TrialResult]
) -> SearchedRange:
    tested = _tested(searched, range_test, space)
    high = searched.highest_peak(space.schedules)
    inside = [trial for trial in trials if space.range_of(trial.config) == searched]
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
