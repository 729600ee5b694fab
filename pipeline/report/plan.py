"""Knows what a stage will cost, from the time that a step takes on the real model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrrt import Loops
from lrrt.confirmation import NUM_LOOKS, NUM_RATES
from pipeline.config.tables import StageConfig
from pipeline.steps.stage_studies import MAX_WIDENINGS, num_widened_trials
from pipeline.task.preparation import prepare

MEASURED_STEPS = 10
MEASURED_RATE = 1e-6  # too small to change what a step costs by what it learns


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one optimizer and batch size; `compile_s` is spent once."""

    optimizer: str
    batch_size: int
    step_s: float
    validation_s: float
    compile_s: float
    steps_per_epoch: int


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """The most that one part of a stage can cost; fewer where losses diverge or trials stop early."""

    name: str
    num_steps: int
    num_epochs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage will run, and the most that it can cost."""

    measured: tuple[Measured, ...]
    parts: tuple[PlannedPart, ...]

    @property
    def seconds(self) -> float:
        return sum(part.seconds for part in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "schema_version": 1,
            "measured": [
                {
                    "optimizer": found.optimizer,
                    "batch_size": found.batch_size,
                    "step_ms": 1000 * found.step_s,
                    "validation_ms": 1000 * found.validation_s,
                    "compile_seconds": found.compile_s,
                    "steps_per_epoch": found.steps_per_epoch,
                }
                for found in self.measured
            ],
            "parts": [
                {"name": part.name, "steps": part.num_steps, "epochs": part.num_epochs, "seconds": part.seconds}
                for part in self.parts
            ],
            "seconds": self.seconds,
        }

    def as_table(self) -> str:
        """Return the plan as lines of text."""
        rows = [("part", "steps", "epochs", "time at most")]
        rows += [
            (part.name, str(part.num_steps), str(part.num_epochs or "-"), _told(part.seconds)) for part in self.parts
        ]
        rows.append(("all", str(sum(p.num_steps for p in self.parts)), "", _told(self.seconds)))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            row[0].ljust(widths[0])
            + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            for row in rows
        ]
        steps = [
            f"a step of {found.optimizer} in batches of {found.batch_size} takes {1000 * found.step_s:.3g} ms"
            for found in self.measured
        ]
        return "\n".join([*steps, "", *lines]) + "\n"


def make_plan(config: StageConfig) -> Plan:
    """Measure the real model and price every part of the stage; a few steps are trained, nothing is written.

    Raises:
        TaskError: where the task's data or model break their contract.
    """
    loops = prepare(config).cache.loops
    sizes = config.study.batch_sizes
    measured = tuple(_measure(loops, name, size) for name in config.range_test.optimizers for size in sizes)
    return Plan(measured, price(config, {(found.optimizer, found.batch_size): found for found in measured}))


def price(config: StageConfig, measured: Mapping[tuple[str, int], Measured]) -> tuple[PlannedPart, ...]:
    """Return the cost of each range test, and of all that trains for epochs at the mean over optimizers and batches."""
    study = config.study
    tests = [
        _price_range_test(config, measured[name, size])
        for name in config.range_test.optimizers
        for size in config.tested_batch_sizes
    ]
    others = sum(found.compile_s for (_, size), found in measured.items() if size not in config.tested_batch_sizes)
    compile_s = max(found.compile_s for found in measured.values())
    folds, top = study.folds, study.top_retrained
    widened = MAX_WIDENINGS * num_widened_trials(config) if study.widen else 0
    trainings = {
        f"{study.num_trials} trials": (study.num_trials, others),
        f"{widened} trials where bounds are widened": (widened, 0.0),
        f"{top} best trials on {study.retrain_seeds} seeds": (top * study.retrain_seeds, 0.0),
        # Each fold has data of its own, so its loops are compiled anew.
        f"{top} best trials on {folds} folds": (top * folds, folds * top * compile_s),
    }
    epochs = {name: (number * study.epochs, once) for name, (number, once) in trainings.items() if number}
    return (*tests, *(_price_epochs(name, number, once, measured) for name, (number, once) in epochs.items()))


def _price_range_test(config: StageConfig, found: Measured) -> PlannedPart:
    test = config.range_test
    name = f"range test of {found.optimizer}"
    if len(config.tested_batch_sizes) > 1:
        name += f", batch_size={found.batch_size}"
    num_steps = test.num_steps * test.repeats + NUM_RATES * test.confirm_steps
    looks_s = NUM_RATES * NUM_LOOKS * found.validation_s if test.confirm_steps else 0.0
    return PlannedPart(name, num_steps, 0, num_steps * found.step_s + looks_s + found.compile_s)


def _price_epochs(
    name: str, num_epochs: int, once_s: float, measured: Mapping[tuple[str, int], Measured]
) -> PlannedPart:
    steps = float(np.mean([found.steps_per_epoch for found in measured.values()]))
    epoch_s = float(np.mean([found.steps_per_epoch * found.step_s + found.validation_s for found in measured.values()]))
    return PlannedPart(name, round(num_epochs * steps), num_epochs, num_epochs * epoch_s + once_s)


def _measure(loops: Loops, optimizer: str, batch_size: int) -> Measured:
    weights, rng = loops.initial_weights(0), np.random.default_rng(0)
    rates = np.full(MEASURED_STEPS, MEASURED_RATE, np.float32)

    def train() -> None:
        loop = loops.get(optimizer, batch_size)
        loop.restart(weights)
        loop.train(rates, rng)

    def validate() -> None:
        loops.get(optimizer, batch_size).validate()

    first = _seconds(train) + _seconds(validate)
    step_s = min(_seconds(train), _seconds(train)) / MEASURED_STEPS
    validation_s = _seconds(validate)
    compile_s = max(0.0, first - MEASURED_STEPS * step_s - validation_s)
    return Measured(optimizer, batch_size, step_s, validation_s, compile_s, loops.num_batches(batch_size))


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _told(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02} min" if hours else f"{rest // 60} min {rest % 60:02} s"
