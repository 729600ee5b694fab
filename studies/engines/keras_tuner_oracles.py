"""Make KerasTuner's oracles propose by a trial's number, from the trials that have ended, without their files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.oracles import BayesianOptimizationOracle, GridSearchOracle, RandomSearchOracle
from numpy.typing import NDArray

from studies.dimension import Value
from studies.engines.observation import Observation, Values, penalty
from studies.objective import Objective
from studies.space.search_space import SearchSpace
from studies.space.suggesting import ask_keras_tuner

COST = Objective("cost")  # of an oracle that proposes
INITIAL_TRIALS = 10  # random ones before the Gaussian process; KerasTuner's default grows to 30 and more
JUDGED_STARTS, CHOSEN_STARTS = 1000, 3  # of the search for the best point of a Gaussian process
ANY_NUMBER = 10**9  # of failures in a row; KerasTuner's default of 3 ends the whole search
GRID_DRAWS = 100  # draws that may meet combinations already tried before the rest of a grid is listed


class NumberedOracle(keras_tuner.Oracle):
    """An oracle whose choice for a trial follows from the seed, the trial's number and the trials that have ended.

    KerasTuner's state, `oracle.json`, is fatal if it is half-written, and it cannot resume a grid.
    """

    def __init__(
        self, space: SearchSpace, *, seed: int, objective: Objective = COST, first: Sequence[Values] = ()
    ) -> None:
        hp = keras_tuner.HyperParameters()
        self.dimensions = space.dimensions()
        ask_keras_tuner(hp, self.dimensions)
        super().__init__(
            objective=keras_tuner.Objective(objective.name, objective.direction),
            hyperparameters=hp,
            seed=_drawn(seed),  # never 0, which means no seed in KerasTuner
            max_consecutive_failed_trials=ANY_NUMBER,
        )
        self.study_objective, self.study_seed = objective, seed
        self.suggestions: list[Values] = [*first, *space.suggested_parameters()]
        self.failed: set[str] = set()
        self._known: dict[int, Observation] = {}
        self.verbose = 0

    def values_of(
        self, number: int, ended: Sequence[Observation], running: Sequence[Values]
    ) -> dict[str, Value] | None:
        """Return the values of a trial; None if all have been tried. For the arguments see `Engine.propose`."""
        for observation in sorted(ended, key=lambda one: one.number):
            if self._known.get(observation.number) != observation:  # new, or it has gone on since
                self._known[observation.number] = observation
                self.add(observation)
        self._tried_so_far.update(self._compute_values_hash(dict(values)) for values in running)
        self._seed_state = _drawn(self.study_seed, number)
        if number < len(self.suggestions):
            values: dict[str, Value] | None = self._filled(self.suggestions[number])
        else:
            values = self.next_values(number)
        return None if values is None else {**values, **self._inside(values)}

    def next_values(self, number: int) -> dict[str, Value] | None:
        """Return the values of a trial after the suggested ones; None if all have been tried."""
        values: dict[str, Value] | None = self.populate_space(str(number))["values"]
        if values is not None and self._duplicate(values):
            values = self._random_values()
        return values

    def add(self, observation: Observation, *, step: int = 0, message: str = "") -> Any:
        """Add a trial that has ended, and return it as KerasTuner's trial.

        Args:
            observation: of the trial; an excess gap is added to the cost, since KerasTuner has no constraints.
            step: the trial's best epoch.
            message: why the trial failed.
        """
        trial_id = str(observation.number)
        hp = self.get_space()
        hp.values = dict(observation.values)
        status = "FAILED" if observation.cost is None else "COMPLETED"
        trial = keras_tuner.engine.trial.Trial(hp, trial_id, status, message or None)
        if observation.cost is not None:
            objective, cost = self.study_objective, observation.cost + (observation.excess_gap or 0.0)
            trial.metrics.register(objective.name, direction=objective.direction)
            trial.metrics.update(objective.name, objective.score(cost), step=step)
            self.score_trial(trial)
        if trial_id not in self.trials:
            self.start_order.append(trial_id)
            self.end_order.append(trial_id)
        self.trials[trial_id] = trial
        self._run_times[trial_id] = 1
        self._record_values(trial)
        return trial

    def _filled(self, fixed: Values) -> dict[str, Value]:
        """Draw every active value that is not fixed."""
        hp = keras_tuner.HyperParameters()
        for parameter in self.hyperparameters.space:
            hp.merge([parameter])
            if hp.is_active(parameter):
                drawn = parameter.random_sample(self._seed_state)
                self._seed_state += 1
                hp.values[parameter.name] = fixed.get(parameter.name, drawn)
        values: dict[str, Value] = hp.values
        return values

    def _inside(self, values: Values) -> dict[str, Value]:
        """Return the numbers among the values, moved into their bounds if rounding put them outside."""
        return {
            dimension.name: min(max(number, dimension.low), dimension.high)
            for dimension in self.dimensions
            if dimension.name in values
            and not dimension.choices
            and isinstance(number := values[dimension.name], float)
        }


class RandomOracle(NumberedOracle, RandomSearchOracle):
    """KerasTuner's random search."""


class BayesianOracle(NumberedOracle, BayesianOptimizationOracle):
    """KerasTuner's Gaussian process; its search for the best point starts at likely points.

    KerasTuner leaves out trials that failed, so it would propose their like for ever. Here they have the penalty of
    diverged ones.
    """

    def next_values(self, number: int) -> dict[str, Value] | None:
        self.failed |= {trial.trial_id for trial in self.trials.values() if trial.status == "FAILED"}
        costs = [
            self.study_objective.cost(one.score) for one in self.trials.values() if one.trial_id not in self.failed
        ]
        for trial_id in self.failed:
            trial = self.trials[trial_id]
            trial.status, trial.score = "COMPLETED", self.study_objective.score(penalty(costs))
        self.num_initial_points = INITIAL_TRIALS
        self._random_state = _LikelyStarts(self, _drawn(self.study_seed, number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from scikit-learn: a length scale lies at its bound
            return super().next_values(number)


class _LikelyStarts:
    """Replace the generator from which KerasTuner draws 50 starts; each start costs 0.1 s of descent.

    It judges many random points at once instead, and returns the few best.
    """

    def __init__(self, oracle: BayesianOracle, seed: int) -> None:
        self.oracle = oracle
        self.rng = np.random.default_rng(seed)

    def uniform(self, low: Any, high: Any, size: tuple[int, int]) -> NDArray[np.float64]:
        points = self.rng.uniform(low, high, size=(JUDGED_STARTS, size[1]))
        mean, deviation = self.oracle.gpr.predict(points, return_std=True)
        best: NDArray[np.float64] = points[np.argsort(mean - self.oracle.beta * deviation)[:CHOSEN_STARTS]]
        return best


class GridOracle(NumberedOracle, GridSearchOracle):
    """KerasTuner's grid, ten values to a number and its start, visited in a random order.

    In KerasTuner's order, a search of fewer trials than the grid has sees only one corner of it.
    """

    def next_values(self, number: int) -> dict[str, Value] | None:
        choices = {parameter.name: _grid_values(parameter) for parameter in self.hyperparameters.space}
        rng = np.random.default_rng([self.study_seed, number])
        for _ in range(GRID_DRAWS):
            values = self._combination(lambda name: choices[name][rng.integers(len(choices[name]))])
            if not self._duplicate(values):
                return values
        return next((values for values in self._all({}, choices) if not self._duplicate(values)), None)

    def _combination(self, pick: Callable[[str], Value]) -> dict[str, Value]:
        hp = keras_tuner.HyperParameters()
        for parameter in self.hyperparameters.space:
            hp.merge([parameter])
            if hp.is_active(parameter):
                hp.values[parameter.name] = pick(parameter.name)
        values: dict[str, Value] = hp.values
        return values

    def _all(self, fixed: Values, choices: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
        """Yield every combination that agrees with the fixed values."""
        names = list(self._combination(lambda name: fixed.get(name, choices[name][0])))
        if len(fixed) == len(names):
            yield dict(fixed)
            return
        name = next(name for name in names if name not in fixed)
        for value in choices[name]:
            yield from self._all({**fixed, name: value}, choices)


ORACLES: Mapping[str, type[NumberedOracle]] = {"random": RandomOracle, "bayesian": BayesianOracle, "grid": GridOracle}


def _grid_values(parameter: Any) -> list[Value]:
    return list(dict.fromkeys([parameter.default, *parameter.values]))


def _drawn(*seeds: int) -> int:
    """Return a positive number that follows from a list of seeds; the numbers of different lists are unrelated."""
    return int(np.random.default_rng(seeds).integers(1, 2**31 - 2**16))
