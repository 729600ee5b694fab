"""Estimate the cost of a stage from the time of a step on the real model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrrt import Loops
from lrrt.confirmation import NUM_LOOKS, NUM_RATES
from lrrt.monitor import LOSS
from lrrt.ramp import Ramp
from lrrt.recording import least_and_most_steps
from lrrt.words import duration_text
from pipeline.config.tables import StageConfig
from pipeline.report.savings import planned_cuts, planned_jit
from pipeline.steps.arms import has_arms, planned_optimizers
from pipeline.steps.widening import MAX_WIDENINGS, num_widened_trials
from pipeline.task.guard import guarded
from pipeline.task.preparation import prepare
from studies.before_training.regularized import WITHOUT_PENALTIES, is_regularized
from studies.engines.arms import ARMS, in_order

MEASURED_STEPS = 10
MANY_OPTIMIZERS = 3  # from so many on another sampler is named that does not test all of them first
MEASURED_RATE = 1e-6  # too small for the model to learn, which might change the cost of a step


@dataclass(frozen=True, slots=True)
class Measured:
    """The measured times of one optimizer and batch size; `compile_s` is spent once."""

    optimizer: str
    batch_size: int
    step_s: float
    validation_s: float
    compile_s: float
    steps_per_epoch: int


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """The most that one part of a stage can cost; it costs less if losses diverge or trials stop early.

    `least_steps` is the least: for a range test one ramp that breaks down at the first look, for trials none.
    """

    name: str
    num_steps: int
    num_epochs: int
    seconds: float
    least_steps: int = 0
    least_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a stage, the most that they can cost, and sentences on its data and its model."""

    measured: tuple[Measured, ...]
    parts: tuple[PlannedPart, ...]
    epochs: int
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return sum(part.seconds for part in self.parts)

    @property
    def training_steps(self) -> dict[int, int]:
        """The steps of a whole trial, by batch size."""
        return {one.batch_size: self.epochs * one.steps_per_epoch for one in self.measured}

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "schema_version": 1,
            "measured": [
                {
                    "optimizer": one.optimizer,
                    "batch_size": one.batch_size,
                    "step_ms": 1000 * one.step_s,
                    "validation_ms": 1000 * one.validation_s,
                    "compile_seconds": one.compile_s,
                    "steps_per_epoch": one.steps_per_epoch,
                }
                for one in self.measured
            ],
            "parts": [
                {
                    "name": part.name,
                    "steps": part.num_steps,
                    "epochs": part.num_epochs,
                    "seconds": part.seconds,
                    "least_steps": part.least_steps,
                    "least_seconds": part.least_seconds,
                }
                for part in self.parts
            ],
            "training_steps": self.training_steps,
            "seconds": self.seconds,
            "notes": list(self.notes),
        }

    def as_table(self) -> str:
        """Return the plan as lines of text."""
        rows = [("part", "steps", "epochs", "time at least", "at most")]
        rows += [
            (
                part.name,
                f"{part.least_steps} to {part.num_steps}" if part.least_steps else str(part.num_steps),
                str(part.num_epochs or "-"),
                duration_text(part.least_seconds) if part.least_steps else "-",
                duration_text(part.seconds),
            )
            for part in self.parts
        ]
        rows.append(("all", str(sum(p.num_steps for p in self.parts)), "", "", duration_text(self.seconds)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            row[0].ljust(widths[0])
            + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            for row in rows
        ]
        steps = [
            f"a step of {one.optimizer} in batches of {one.batch_size} takes {1000 * one.step_s:.3g} ms"
            for one in self.measured
        ]
        lengths = [
            f"bounds are for trainings of {num_steps} updates in batches of {size} ({self.epochs} epochs)"
            for size, num_steps in self.training_steps.items()
        ]
        return "\n".join([*self.notes, *steps, *lengths, "", *lines]) + "\n"


def make_plan(config: StageConfig) -> Plan:
    """Measure the real model and price every part of the stage; train a few steps, but write nothing.

    Raises:
        TaskError: if the task's data or model break their contract.
    """
    prepared = prepare(config)
    loops = prepared.cache.loops
    names, sizes = planned_optimizers(config), config.study.batch_sizes
    with guarded("A few steps must run on the task, but that"):
        measured = tuple(_measure(loops, name, size) for name in names for size in sizes)
        about_jit = tuple(planned_jit(config, loops, differ=bool(prepared.known_by.own)))
    parts = price(config, {(one.optimizer, one.batch_size): one for one in measured})
    is_without = bool(prepared.known_by.own) and is_regularized(loops.model)
    about_scores = (WITHOUT_PENALTIES,) if is_without else ()
    about_cuts = filter(None, [planned_cuts(config.study)])
    about_task = *prepared.data_use.notes, *prepared.known_by.notes
    notes = *about_task, *about_scores, *_about_order(config), *about_cuts, *about_jit
    return Plan(measured, parts, config.study.epochs, notes)


def _about_order(config: StageConfig) -> Iterator[str]:
    order, all_in_order = planned_optimizers(config), in_order(config.range_test.optimizers)
    if has_arms(config):
        yield f"the study turns to {', '.join(order)} in this order, and tests an optimizer's range when it does"
        if left := all_in_order[len(order) :]:
            yield f"{config.study.num_trials} trials are too few to turn to {', '.join(left)}"
    elif len(order) >= MANY_OPTIMIZERS:
        yield (
            f"the ranges of all {len(order)} optimizers are tested before the first trial; with "
            f'sampler = "{ARMS}" under [study] each waits until the study turns to it'
        )


def price(config: StageConfig, measured: Mapping[tuple[str, int], Measured]) -> tuple[PlannedPart, ...]:
    """Return the cost of each range test, and of trainings by epochs at the mean over optimizers and batch sizes."""
    study, names = config.study, planned_optimizers(config)
    tests = [
        _price_range_test(config, measured[name, size], is_first=name == names[0])
        for name in names
        for size in config.tested_batch_sizes
    ]
    others = sum(one.compile_s for (_, size), one in measured.items() if size not in config.tested_batch_sizes)
    compile_s = max(one.compile_s for one in measured.values())
    folds, top = study.folds, study.top_retrained
    widened = MAX_WIDENINGS * num_widened_trials(config) if study.widen else 0
    each = max(1, study.score_folds)
    on_folds = f" on {each} folds" if study.score_folds else ""
    others += study.score_folds * compile_s  # their data are others, so their loops are compiled anew
    trainings = {
        f"{study.num_trials} trials{on_folds}": (study.num_trials * each, others),
        f"{widened} trials{on_folds} if bounds are widened": (widened * each, 0.0),
        f"{top} best trials on {study.retrain_seeds} seeds{on_folds}": (top * study.retrain_seeds * each, 0.0),
        # Each fold has other data, so its loops are compiled anew.
        f"{top} best trials on {folds} folds": (top * folds, folds * top * compile_s),
    }
    if study.refit:
        trainings["refit of the winner"] = (1, compile_s)
    epochs = {name: (number * study.epochs, once) for name, (number, once) in trainings.items() if number}
    return (*tests, *(_price_epochs(name, number, once, measured) for name, (number, once) in epochs.items()))


def _price_range_test(config: StageConfig, times: Measured, *, is_first: bool) -> PlannedPart:
    test = config.range_test
    name = f"range test of {times.optimizer}"
    if len(config.tested_batch_sizes) > 1:
        name += f", batch_size={times.batch_size}"
    untrained = test.num_steps * test.repeats if is_first and test.monitor == LOSS.name else 0  # then all know them
    least, most = least_and_most_steps(
        Ramp(test.start_lr, test.end_lr, test.num_steps, test.spacing).rates(), test.repeats
    )
    num_steps = most + untrained + NUM_RATES * test.confirm_steps
    looks_s = NUM_RATES * NUM_LOOKS * times.validation_s if test.confirm_steps else 0.0
    seconds = num_steps * times.step_s + looks_s + times.compile_s
    return PlannedPart(name, num_steps, 0, seconds, least, least * times.step_s + times.compile_s)


def _price_epochs(
    name: str, num_epochs: int, once_s: float, measured: Mapping[tuple[str, int], Measured]
) -> PlannedPart:
    steps = float(np.mean([one.steps_per_epoch for one in measured.values()]))
    epoch_s = float(np.mean([one.steps_per_epoch * one.step_s + one.validation_s for one in measured.values()]))
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
