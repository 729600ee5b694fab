"""The searches that are compared: ours, and what a user would write with Optuna or KerasTuner."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from oracle_tasks import Task

from studies import (
    EpochDecision,
    EpochEnded,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    StopTraining,
    Study,
    Trained,
    TrialResult,
    Watcher,
)
from studies.engines.arms_engine import ArmsEngine, with_any_rate
from studies.engines.observation import cost_for_engines
from studies.judging.halving import Prunes
from studies.space.optimizer_range import ranges_within

WIDE, USUAL = (1e-6, 10.0), (1e-5, 1e-1)
FALLBACK = USUAL


@dataclass(frozen=True, slots=True)
class Reached:
    """What it took to come near the oracle's best, in full trainings by trained steps, range tests included.

    `trainings` has a number for each target, the loosest last; a target that was missed counts as one training more
    than were allowed.
    """

    trainings: tuple[float, ...]
    is_reached: tuple[bool, ...]
    range_test: float


class Search(Watcher):
    """Counts the steps of one search, and ends it when it has reached the hardest target, or has used up its steps.

    A target is reached at the end of the first epoch whose validation loss is as low: from then on the search has such
    a model. A step of a larger batch counts as more steps: what is counted is rows.

    Args:
        targets: the losses to reach, the hardest first; without any the search uses up its steps.
        full_rows: of a full training.
        max_trainings: full trainings that the search may take, by its rows, those of range tests included.
    """

    def __init__(self, targets: Sequence[float], full_rows: int, max_trainings: int) -> None:
        self.targets, self.full_rows, self.max_trainings = targets, full_rows, max_trainings
        self.results: list[TrialResult] = []
        self.test_rows, self.trial_rows = 0, 0.0
        self.reached_at: list[float | None] = [None] * len(targets)
        self.best = math.inf
        self.history: list[tuple[float, float]] = []  # after how many trainings the lowest loss fell, and to what
        self._num_epochs: dict[int, int] = {}  # by trial, which may go on after others

    def on_trial_end(self, trained: Trained) -> None:
        result = trained.result
        self.spend(result, self._num_epochs.get(result.number, 0))
        self._num_epochs[result.number] = len(result.val_losses)

    def spend(self, result: TrialResult, num_before: int = 0) -> None:
        """Count a training without its first epochs, which were counted before."""
        self.results.append(result)
        rows = result.num_steps * result.config.batch_size / max(len(result.val_losses), 1)  # of an epoch
        losses = result.val_losses[num_before:] if result.score is not None else (math.inf,) * len(result.val_losses)
        for loss in losses or (math.inf,):
            self.trial_rows += rows
            taken = (self.trial_rows + self.test_rows) / self.full_rows
            if loss < self.best:
                self.best = loss
                self.history.append((taken, loss))
            for at, target in enumerate(self.targets):
                if self.reached_at[at] is None and loss <= target:
                    self.reached_at[at] = taken
        if taken >= self.max_trainings or (self.targets and self.reached_at[0] is not None):
            raise StopTraining

    def reached(self) -> Reached:
        return Reached(
            tuple(self.max_trainings + 1 if one is None else one for one in self.reached_at),
            tuple(one is not None for one in self.reached_at),
            self.test_rows / self.full_rows,
        )


def search_ours(task: Task, search: Search, seed: int, *, sampler: str, prunes: Prunes = False) -> None:
    """Run a study in the bounds of range tests: all of them first, or with "arms" each when the study turns to it."""

    def ranges_of(*optimizers: str) -> tuple[OptimizerRange, ...]:
        tested = task.range_test(seed, optimizers)
        search.test_rows += tested.num_steps * task.batch_size
        in_order = {standing.label: tested.bounds[standing.label] for standing in tested.standings()}
        return ranges_within(in_order, {}, task.batch_sizes, FALLBACK)

    if sampler == "arms":
        space = with_any_rate(plain_space(task, *USUAL))
        study: Study = Study(space, ArmsEngine(space, ranges_of, seed=seed), prunes=prunes)
    else:
        study = OptunaStudy(task.space(ranges_of(*task.optimizers)), seed=seed, sampler=sampler, prunes=prunes)
    study.run(task.trainer(seed), num_trials=num_trials(search), watcher=search)


def search_wrongly(task: Task, search: Search, seed: int, *, factor: float) -> None:
    """Run our study with all bounds moved by a factor, as if every range test were wrong."""

    class Wrong:
        def range_test(self, seed: int, optimizers: Sequence[str]) -> Any:
            tested = task.range_test(seed, optimizers)
            moved = {
                label: replace(
                    found, low=found.low * factor, high=found.high * factor, suggested=found.suggested * factor
                )
                for label, found in tested.bounds.items()
                if found.low
            }
            return replace(tested, bounds={**tested.bounds, **moved})

        def __getattr__(self, name: str) -> Any:
            return getattr(task, name)

    search_ours(Wrong(), search, seed, sampler="arms")


def search_box(task: Task, search: Search, seed: int) -> None:
    """Run our study without range tests, from the least to the greatest best rate of each optimizer on other tasks."""
    ranges = tuple(OptimizerRange(label, *task.remembered(label)) for label in task.optimizers)
    study = OptunaStudy(task.space(ranges), seed=seed)
    study.run(task.trainer(seed), num_trials=num_trials(search), watcher=search)


def search_optuna(task: Task, search: Search, seed: int, *, low: float, high: float, prunes: bool = False) -> None:
    """Run the search that a user of Optuna alone would write, with its Hyperband pruner or without."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.HyperbandPruner(max_resource=task.epochs) if prunes else optuna.pruners.NopPruner()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
    space, trainer = plain_space(task, low, high), task.trainer(seed)

    def judge(trial: Any) -> float:
        def report(ended: EpochEnded) -> EpochDecision:
            trial.report(ended.val_losses[-1] if math.isfinite(ended.val_losses[-1]) else 1e30, ended.epoch)
            return EpochDecision.PRUNE if trial.should_prune() else EpochDecision.GO_ON

        trained = trainer.train(space.suggest(trial), **({"on_epoch": report} if prunes else {}))
        cost = cost_for_engines(trained.result, search.results)
        search.spend(trained.result)
        if trained.result.state.name == "PRUNED":
            raise optuna.TrialPruned
        return cost

    study.optimize(judge, n_trials=num_trials(search))


def search_keras_tuner(task: Task, search: Search, seed: int, *, hyperband: bool = False) -> None:
    """Run KerasTuner's own oracle, untouched, on our trainer.

    Of a trial that Hyperband promotes only the epochs that it goes on for count. KerasTuner begins them with fresh
    slots of the optimizer; here they follow as if it had not stopped, which is no worse for it.
    """
    import keras_tuner

    space, trainer = plain_space(task, *USUAL), task.trainer(seed)

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
        def run_trial(self, trial: Any) -> float:
            hp = trial.hyperparameters
            last = hp.values.get("tuner/epochs", task.epochs)
            begun = hp.values.get("tuner/initial_epoch", 0)

            def stop(ended: EpochEnded) -> EpochDecision:
                return EpochDecision.PRUNE if ended.epoch >= last else EpochDecision.GO_ON

            trained = trainer.train(space.suggest(hp), **({"on_epoch": stop} if hyperband else {}))
            cost = cost_for_engines(trained.result, search.results)
            search.spend(trained.result, begun)
            return cost

    hp = keras_tuner.HyperParameters()
    space.suggest(hp)
    options = {
        "objective": keras_tuner.Objective("default_objective", "min"),
        "seed": seed + 1,  # KerasTuner takes 0 for no seed
        "hyperparameters": hp,
    }
    if hyperband:
        oracle = keras_tuner.oracles.HyperbandOracle(max_epochs=task.epochs, hyperband_iterations=10, **options)
    else:
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(max_trials=num_trials(search), **options)
    oracle.verbose = 0
    with tempfile.TemporaryDirectory() as folder:
        Tuner(oracle, directory=folder, project_name="search").search()


def num_trials(search: Search) -> int:
    """Return more trials than a search can take by its steps, unless nearly all of them end early."""
    return 4 * search.max_trainings


def plain_space(task: Task, low: float, high: float) -> SearchSpace:
    return task.space(tuple(OptimizerRange(label, low, high) for label in task.optimizers))


OURS = "ours"
Way = Callable[[Task, Search, int], None]
WAYS: Mapping[str, Way] = {
    OURS: partial(search_ours, sampler="arms"),
    "ours, halved": partial(search_ours, sampler="arms", prunes="hyperband"),
    "ours, bounds as walls": partial(search_ours, sampler="tpe"),
    "ours, bounds x 10": partial(search_wrongly, factor=10.0),
    "ours, bounds / 10": partial(search_wrongly, factor=0.1),
    "remembered box": search_box,
    "TPE, 1e-6..10": partial(search_optuna, low=WIDE[0], high=WIDE[1]),
    "TPE, 1e-5..1e-1": partial(search_optuna, low=USUAL[0], high=USUAL[1]),
    "TPE + Hyperband": partial(search_optuna, low=USUAL[0], high=USUAL[1], prunes=True),
    "KerasTuner Bayesian": search_keras_tuner,
    "KerasTuner Hyperband": partial(search_keras_tuner, hyperband=True),
}
OTHERS = ("TPE, 1e-6..10", "TPE, 1e-5..1e-1", "TPE + Hyperband", "KerasTuner Bayesian", "KerasTuner Hyperband")
NEED_EPOCHS = ("ours, halved", "TPE + Hyperband", "KerasTuner Hyperband")  # a table of whole trainings cannot be cut
