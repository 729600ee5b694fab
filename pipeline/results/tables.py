"""Write the tables of trials, of range tests and of a Pareto front: as CSV, and as one JSON text a line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lrrt import RangeTestResult
from lrrt.plain import or_none
from pipeline.results.plain_text import cell
from studies import Retrained, TrialResult
from studies.objective import Objectives


def trials_csv(trials: Sequence[TrialResult]) -> str:
    """Return one row per trial; a parameter that was not active in a trial is empty."""
    return _csv_of([_row(trial) for trial in trials])


def front_csv(front: Sequence[TrialResult], objectives: Objectives) -> str:
    """Return one row per trial of a Pareto front: its number, its objectives and its hyperparameters."""
    return _csv_of(
        [
            {"number": one.number, **{o.name: one.value_of(o) for o in objectives}, **one.config.parameters()}
            for one in front
        ]
    )


def trials_jsonl(trials: Sequence[TrialResult]) -> str:
    """Return one line per trial, with the losses and metrics of every epoch."""
    return "".join(json.dumps(trial.as_dict(), allow_nan=False) + "\n" for trial in trials)


def trials_retrained_jsonl(retrained: Sequence[Retrained]) -> str:
    """Return one line per further training of the best few trials, with its seed or fold and the trial's number."""
    trainings = (training for one in retrained for training in one.trainings)
    return "".join(json.dumps(training.as_dict(), allow_nan=False) + "\n" for training in trainings)


def curves_csv(range_test: RangeTestResult) -> str:
    """Return one row per step of the range tests: optimizer, repeat, step, lr, loss."""
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
    last = {"train_loss": trial.train_losses, "val_loss": trial.val_losses, **trial.metrics}
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "score": trial.score,
        "best_epoch": trial.best_epoch,
        "epochs": len(trial.train_losses),
        **{f"last_{name}": or_none(values[-1]) if values else None for name, values in last.items()},
        "seconds": round(trial.seconds, 3),
        "error": trial.error,
        **trial.config.parameters(),
    }


def _csv_of(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _csv(names, ([row.get(name, "") for name in names] for row in rows))


def _csv(names: Sequence[str], rows: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([cell(value) for value in row] for row in (names, *rows))
    return text.getvalue()
