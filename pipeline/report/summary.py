"""Sum up what a stage found, as summary.json and as tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from lrrt import Bounds, RangeTestResult
from lrrt.plain import from_plain, to_plain
from pipeline.report.summary_file import (
    Best,
    Cost,
    EpochsSaved,
    Narrowing,
    RetrainedTrial,
    SearchedRange,
    Summary,
    TrainingCost,
)
from pipeline.report.versions import versions
from studies import AtEdge, OptimizerRange, OverfitReport, Retrained, SearchSpace, TrialResult, TrialState

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage found; `summary` is what summary.json holds.

    `best` is the winner, `retrained` are the best few trials with their further trainings, the best mean first, and
    `edge` says where the winner's rate lies at an end of its bounds; `widened` where the best one lay each time that
    the search went on in wider bounds, which `space` has.
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


def summarise(
    range_test: RangeTestResult,
    space: SearchSpace,
    trials: Sequence[TrialResult],
    best: TrialResult,
    overfitting: OverfitReport,
    *,
    test: Mapping[str, float] | None,
    model_file: str | None,
    range_test_seconds: float = 0.0,
    retrained: Sequence[Retrained] = (),
    edge: AtEdge | None = None,
    widened: Sequence[AtEdge] = (),
) -> dict[str, Any]:
    """Return what summary.json holds: plain data, None where a number is missing or not finite.

    Args:
        range_test: what the range tests found.
        space: what was searched.
        trials: all that have ended.
        best: the winner among them.
        overfitting: what its losses show.
        test: by metric, what its model reaches on the test data; None where the task has none.
        model_file: the file of its model in the folder of the results; None where it cannot be saved.
        range_test_seconds: how long the range tests took.
        retrained: the best few with their further trainings, the best mean first.
        edge: where the winner's rate lies at an end of its bounds.
        widened: where the best one lay each time that the search went on in wider bounds.
    """
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
            overfitting=overfitting,
            overfitting_sentence=overfitting.verdict.value,
            at_edge=edge,
        ),
        retrained=tuple(from_plain(RetrainedTrial, one.as_dict()) for one in retrained),
        bounds={found.label: _searched(found, range_test, space, trials) for found in space.optimizers},
        widened=tuple(widened),
        narrowing=_narrowing(range_test, space, states["diverged"]),
        num_trials={"ended": len(trials), **states},
        cost=Cost(
            range_test_steps=range_test.num_steps,
            range_test_seconds=range_test_seconds,
            trial_steps=sum(trial.num_steps for trial in trials),
            trial_seconds=round(sum(trial.seconds for trial in trials), 3),
            epochs=sum(len(trial.train_losses) for trial in trials),
            epochs_saved=_epochs_saved(trials),
            retraining=_cost_of([training.result for one in retrained for training in one.trainings]),
        ),
    )
    plain: dict[str, Any] = to_plain(summary)
    return plain


def _searched(
    found: OptimizerRange, range_test: RangeTestResult, space: SearchSpace, trials: Sequence[TrialResult]
) -> SearchedRange:
    tested = _tested(found, range_test, space)
    high = found.highest_peak(space.schedules)
    inside = [trial for trial in trials if space.range_of(trial.config) == found]
    return SearchedRange(
        low=found.low,
        high=high,
        suggested=found.suggested,
        verdict=tested.verdict,
        reason=tested.reason,
        is_fallback=found.is_fallback,
        width_decades=math.log10(high / found.low),
        original_width_decades=math.log10(range_test.ramp.end_lr / range_test.ramp.start_lr),
        num_trials=len(inside),
        num_diverged=sum(trial.state is TrialState.DIVERGED for trial in inside),
    )


def _tested(found: OptimizerRange, range_test: RangeTestResult, space: SearchSpace) -> Bounds:
    """Return the bounds that a range was taken from; those of a file may have been tested at more batch sizes."""
    if found.label in range_test.bounds:
        return range_test.bounds[found.label]
    return range_test.bounds_for(found.name, space.batch_sizes[0])


def _narrowing(range_test: RangeTestResult, space: SearchSpace, num_diverged: int) -> Narrowing:
    whole = math.log10(range_test.ramp.end_lr / range_test.ramp.start_lr) * len(space.optimizers)
    searched = sum(math.log10(found.highest_peak(space.schedules) / found.low) for found in space.optimizers)
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


def trials_csv(trials: Sequence[TrialResult]) -> str:
    """Return one row a trial; a parameter that was not active in a trial is empty."""
    rows = [_row(trial) for trial in trials]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _csv(names, ([row.get(name, "") for name in names] for row in rows))


def trials_jsonl(trials: Sequence[TrialResult]) -> str:
    """Return one line a trial, with the losses of every epoch."""
    return "".join(json.dumps(trial.as_dict(), allow_nan=False) + "\n" for trial in trials)


def trials_retrained_jsonl(retrained: Sequence[Retrained]) -> str:
    """Return one line a further training of the best few trials, with what it was on and the trial's number."""
    trainings = (training for one in retrained for training in one.trainings)
    return "".join(json.dumps(training.as_dict(), allow_nan=False) + "\n" for training in trainings)


def curves_csv(range_test: RangeTestResult) -> str:
    """Return one row a step of the range tests: optimizer, repeat, step, lr, loss."""
    return _csv(
        ["optimizer", "repeat", "step", "lr", "loss"],
        (
            [label, repeat, step, lr, loss]
            for label, repeats in range_test.curves.items()
            for repeat, curve in enumerate(repeats)
            for step, (lr, loss) in enumerate(zip(curve.lrs, curve.losses, strict=True))
        ),
    )


def _row(trial: TrialResult) -> dict[str, Any]:
    last = {"train_loss": trial.train_losses, "val_loss": trial.val_losses}
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "score": trial.score,
        "best_epoch": trial.best_epoch,
        "epochs": len(trial.train_losses),
        **{f"last_{name}": losses[-1] if losses else None for name, losses in last.items()},
        "seconds": round(trial.seconds, 3),
        "error": trial.error,
        **trial.config.parameters(),
    }


def _csv(names: Sequence[str], rows: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()
