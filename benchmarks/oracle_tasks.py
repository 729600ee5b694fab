"""The oracle's tasks: each trained anew, or looked up in the full trainings that the oracle holds."""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from lrrt import Case, Loops, Ramp, RangeCurve, RangeTestResult, find_bounds, run_range_test
from lrrt.factors import averaging_steps_of
from lrrt.recording import climbed, parts_of, repeated
from studies import OptimizerRange, OptunaStudy, SearchSpace, Trained, Trainer, TrialConfig, TrialResult, TrialState
from studies.objective import VAL_LOSS

NEAR = (0.01, 0.02, 0.05)  # of the scale, which is the loss before training minus the lowest
RAMP_STEPS = 100  # of the oracle's curves, those of the default call


class Task(Protocol):
    """One task with some of its optimizers, whose trainings differ by their configs and the seed alone."""

    optimizers: tuple[str, ...]
    batch_size: int  # of range tests
    batch_sizes: tuple[int, ...]  # of trials
    epochs: int
    steps_per_epoch: int  # in batches of `batch_size`

    def space(self, ranges: tuple[OptimizerRange, ...]) -> SearchSpace:
        """Return what is searched, with these rates."""

    def range_test(self, seed: int, optimizers: Sequence[str]) -> RangeTestResult:
        """Test the rates of some optimizers."""

    def remembered(self, label: str) -> tuple[float, float]:
        """Return the least and the greatest of an optimizer's best rates on the other tasks."""

    def trainer(self, seed: int) -> Any:
        """Return what trains trials."""


class Oracle:
    """A folder with `tasks.py` (`NAMES`, `OPTIMIZERS`, `load(name)`) and `oracle.json`."""

    def __init__(self, folder: Path) -> None:
        self.tasks = _load_module(folder / "tasks.py")
        self.truth: dict[str, Any] = json.loads((folder / "oracle.json").read_text(encoding="utf-8"))

    def targets(self, name: str, optimizers: Sequence[str]) -> tuple[float, ...]:
        """Return the losses that are within each part of `NEAR` of the lowest one that these optimizers reach."""
        cases = [self.truth[name][label] for label in optimizers]
        start = max(case["init_val_loss"] for case in cases)
        lowest = min(min(_means(case, start)) for case in cases)
        return tuple(lowest + near * (start - lowest) for near in NEAR)

    def remembered(self, name: str, label: str) -> tuple[float, float]:
        """Return the least and the greatest of an optimizer's best rates on all tasks but this one."""
        others = [cases[label] for other, cases in self.truth.items() if other != name]
        best = []
        for case in others:
            means = _means(case, case["init_val_loss"])
            best.append(case["rates"][means.index(min(means))])
        return min(best), max(best)


def _means(case: Mapping[str, Any], start: float) -> list[float]:
    """Return the mean over the seeds at each rate of a case; what diverged is as bad as untrained."""
    runs = [[start if loss is None else min(loss, start) for loss in seed] for seed in case["best_val_loss"]]
    return [statistics.fmean(losses) for losses in zip(*runs, strict=True)]


class RateTask:
    """A task of which optimizers and rates are searched, nothing else."""

    batch_size: int

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        return (self.batch_size,)

    def space(self, ranges: tuple[OptimizerRange, ...]) -> SearchSpace:
        """Return the space of these rates, and of fixed schedules."""
        return SearchSpace(ranges, batch_sizes=self.batch_sizes)


class TrainedTask(RateTask):
    """A task whose trials are trained, on loops that are traced before any is."""

    def __init__(self, oracle: Oracle, name: str, optimizers: Sequence[str]) -> None:
        task = oracle.tasks.load(name)
        self.remembered = partial(oracle.remembered, name)

        def build() -> Any:
            model = task.build()
            model.compile("sgd", task.loss)
            return model

        self.optimizers, self.epochs, self.batch_size = tuple(optimizers), task.epochs, task.batch_size
        self.loops = Loops(
            build,
            (task.x, task.y),
            optimizers={label: oracle.tasks.OPTIMIZERS[label]() for label in optimizers},
            batch_size=task.batch_size,
            validation_data=(task.x_val, task.y_val),
        )
        self.steps_per_epoch = self.loops.get(optimizers[0]).batches.num_batches
        once = Trainer(self.loops, epochs=1)
        for label in optimizers:
            OptunaStudy(self.space((OptimizerRange(label, 1e-5, 1e-1),))).run(once, num_trials=1)

    def range_test(self, seed: int, optimizers: Sequence[str]) -> RangeTestResult:
        """Run them as a stage does, for trainings of all epochs."""
        return run_range_test(self.loops, Ramp(), optimizers=optimizers, seed=seed, training_epochs=self.epochs)

    def trainer(self, seed: int) -> Trainer:
        """Return a trainer without early stopping, as the oracle trained."""
        return Trainer(self.loops, epochs=self.epochs, seed=seed, patience=None)


class LookedUpTask(RateTask):
    """A task whose trials are looked up: the best loss of a rate is read between the grid's rates, in log rate.

    The range test is the oracle's own, one for all seeds; of the oracle's two trainings of a rate, even seeds see the
    first and odd seeds the second. A rate whose nearest neighbour diverged has diverged.
    """

    def __init__(self, oracle: Oracle, name: str, optimizers: Sequence[str]) -> None:
        task = oracle.tasks.load(name)
        self.remembered = partial(oracle.remembered, name)
        self.optimizers, self.epochs, self.batch_size = tuple(optimizers), task.epochs, task.batch_size
        self.steps_per_epoch = -(-len(task.x) // task.batch_size)
        self._averaging_steps = averaging_steps_of(task.build())
        self._cases = {label: oracle.truth[name][label] for label in optimizers}

    def range_test(self, seed: int, optimizers: Sequence[str]) -> RangeTestResult:
        """Judge the oracle's curves as a stage does, for trainings of all epochs."""
        curves = {label: _curves(self._cases[label]) for label in optimizers}
        lengths = {"training_steps": self.epochs * self.steps_per_epoch, "averaging_steps": self._averaging_steps}
        first = next(iter(curves.values()))[0]
        return RangeTestResult(
            curves,
            {label: find_bounds(repeats, optimizer=label, **lengths) for label, repeats in curves.items()},
            {label: Case(label, label, self.batch_size) for label in curves},
            Ramp(first.lrs[0], 1e2, RAMP_STEPS),
            seed,
        )

    def trainer(self, seed: int) -> _Lookup:
        """Return what looks trials up."""
        return _Lookup(self._cases, seed, self.epochs, self.steps_per_epoch)


class _Lookup:
    objectives, max_trial_s = (VAL_LOSS,), None

    def __init__(self, cases: Mapping[str, Any], seed: int, epochs: int, steps_per_epoch: int) -> None:
        self.cases, self.seed, self.epochs, self.steps_per_epoch = cases, seed, epochs, steps_per_epoch

    def check_space(self, space: SearchSpace) -> None:
        """Take any: what is looked up has no steps."""

    def share_choices(self, choices: Any, space: SearchSpace, num_trials: int) -> None:
        """Take none: nothing is compiled."""

    def as_built(self, config: TrialConfig) -> TrialConfig:
        """Return the config: there is no model that lacks some of it."""
        return config

    def train(self, config: TrialConfig, *, number: int = 0, **_: Any) -> Trained:
        case = self.cases[config.optimizer_name]
        start, grid = case["init_val_loss"], np.log(case["rates"])
        losses = case["best_val_loss"][self.seed % len(case["best_val_loss"])]
        if losses[int(np.abs(grid - math.log(config.lr)).argmin())] is None:
            state, reached = TrialState.DIVERGED, math.nan
        else:
            known = [(rate, loss) for rate, loss in zip(grid, losses, strict=True) if loss is not None]
            state = TrialState.COMPLETED
            reached = min(start, float(np.interp(math.log(config.lr), *zip(*known, strict=True))))
        num_epochs = (
            1 if state is TrialState.DIVERGED else self.epochs
        )  # what the oracle has no loss of ended in its first
        curve = (*[start] * (num_epochs - 1), reached)  # no table says after which epoch it was reached
        steps = num_epochs * self.steps_per_epoch
        return Trained(TrialResult(number, config, state, curve, curve, steps, planned_epochs=self.epochs), None)


def _curves(case: Mapping[str, Any]) -> tuple[RangeCurve, ...]:
    """Return the curves that the oracle has of a case; of the later ones the part that a range test would have run."""
    kept = [kept for kept in case["curves"] if kept["num_steps"] == RAMP_STEPS]
    whole = np.array(max((one["lrs"] for one in kept), key=len))  # each ends where its loss was not finite
    return tuple(repeated(lambda lrs, repeat: _curve(kept[repeat], lrs), whole, len(kept)))


def _curve(kept: Mapping[str, Any], lrs: Sequence[float]) -> RangeCurve:
    losses = dict(zip(kept["lrs"], kept["losses"], strict=True))
    tried = np.array([lr for lr in lrs if lr in losses])
    values = np.array([losses[lr] for lr in tried], float)  # None, where a loss was not finite, becomes nan
    parts = np.split(values, np.cumsum(parts_of(len(tried)))[:-1])
    return climbed(tried, ((part, part) for part in parts))


def _load_module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("oracle_tasks_module", file)
    assert spec is not None, "the path is that of a Python file"
    assert spec.loader is not None, "so is its loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module
