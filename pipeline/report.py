"""Knows what a stage found, and how it is written down: summary.json and the tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrrt import RangeTestResult
from pipeline.versions import versions
from studies import OverfitReport, SearchSpace, TrialResult

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage found; `summary` is what summary.json holds."""

    range_test: RangeTestResult
    space: SearchSpace
    trials: tuple[TrialResult, ...]
    best: TrialResult
    overfitting: OverfitReport
    summary: Mapping[str, Any]
    summary_path: Path


def summarise(
    range_test: RangeTestResult,
    space: SearchSpace,
    trials: Sequence[TrialResult],
    best: TrialResult,
    overfitting: OverfitReport,
    *,
    test: Mapping[str, float] | None,
    model_file: str | None,
) -> dict[str, Any]:
    """Return what summary.json holds: plain data, None where a number is missing or not finite.

    Args:
        range_test: what the range tests found.
        space: what was searched.
        trials: all that have ended.
        best: the best of them.
        overfitting: what its losses show.
        test: by metric, what its model reaches on the test data; None where the task has none.
        model_file: the file of its model in the folder of the results; None where it cannot be saved.
    """
    original = math.log10(range_test.ramp.end_lr / range_test.ramp.start_lr)
    states = Counter(trial.state.name.lower() for trial in trials)
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "done",
        "versions": versions(),
        "best": {
            **best.as_dict(),
            "test": test,
            "model_file": model_file,
            "overfitting": asdict(overfitting) | {"verdict": overfitting.verdict.name.lower()},
            "overfitting_sentence": overfitting.verdict.value,
        },
        "bounds": {
            found.name: {
                "low": found.low,
                "high": found.high,
                "suggested": found.suggested,
                "verdict": range_test.bounds[found.name].verdict.name.lower(),
                "reason": range_test.bounds[found.name].reason,
                "is_fallback": found.is_fallback,
                "width_decades": math.log10(found.high / found.low),
                "original_width_decades": original,
            }
            for found in space.optimizers
        },
        "num_trials": {"ended": len(trials), **states},
        "cost": {
            "range_test_steps": range_test.num_steps,
            "trial_steps": sum(trial.num_steps for trial in trials),
            "trial_seconds": round(sum(trial.seconds for trial in trials), 3),
            "epochs": sum(len(trial.train_losses) for trial in trials),
        },
    }


def trials_csv(trials: Sequence[TrialResult]) -> str:
    """Return one row a trial; a parameter that was not active in a trial is empty."""
    rows = [_row(trial) for trial in trials]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _csv(names, ([row.get(name, "") for name in names] for row in rows))


def trials_jsonl(trials: Sequence[TrialResult]) -> str:
    """Return one line a trial, with the losses of every epoch."""
    return "".join(json.dumps(trial.as_dict(), allow_nan=False) + "\n" for trial in trials)


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
