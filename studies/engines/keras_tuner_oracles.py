"""Knows KerasTuner's oracles, made so that what they propose follows from their seed and the ended trials alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.oracles import BayesianOptimizationOracle, GridSearchOracle, RandomSearchOracle
from numpy.typing import NDArray

from studies.dimension import Value
from studies.engines.optuna_samplers import propose
from studies.space.search_space import SearchSpace
from studies.space.suggesting import ask_keras_tuner
from studies.study import Told
from studies.trial import TrialResult, TrialState

OBJECTIVE = "val_loss"
INITIAL_TRIALS = (
    10  # random ones before a sampler trusts what it has seen; KerasTuner's own default grows to 30 and more
)
JUDGED_STARTS, KEPT_STARTS = 1000, 3  # where the best point of a Gaussian process is looked for
ANY_NUMBER = 10**9  # of failures in a row; KerasTuner's default of 3 ends the whole search
GRID_DRAWS = 100  # draws that may meet combinations already tried before the rest of a grid is listed

Values = dict[str, Value]


class Remembering(keras_tuner.Oracle):
    """An oracle that keeps no state but its trials.

    KerasTuner's own state, `oracle.json`, is fatal when half-written and cannot resume a grid. Here the choice of a
    trial follows from the study's seed, the number of the trial and the trials before, so that a study that goes on
    proposes what one that was never interrupted would have, and the file is only written, for others to read.
    """

    def __init__(self, space: SearchSpace, *, seed: int) -> None:
        hp = keras_tuner.HyperParameters()
        self.dimensions = space.dimensions()
        ask_keras_tuner(hp, self.dimensions)
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            hyperparameters=hp,
            seed=_drawn(seed),  # never 0, which KerasTuner takes for no seed
            max_consecutive_failed_trials=ANY_NUMBER,
        )
        self.study_seed = seed
        self.known: Sequence[Told] = ()
        """What another study showed: proposals follow from it, too, and it counts for nothing else."""
        self.suggestions = space.suggested_parameters()
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial, or STOPPED where all have been tried."""
        values = self.values_of(len(self.trials))
        return {"status": "STOPPED" if values is None else "RUNNING", "values": values}

    def values_of(self, number: int) -> Values | None:
        """Return the values of a trial after those that the oracle knows; None where all have been tried."""
        self._seed_state = _drawn(self.study_seed, number)
        if number < len(self.suggestions):
            values: Values | None = self._filled(self.suggestions[number])
        else:
            with self._knowing():
                values = self.next_values(number)
        return None if values is None else {**values, **self._inside(values)}

    def next_values(self, number: int) -> Values | None:
        """Return what the oracle proposes after its first trials; None where all has been tried."""
        values: Values | None = super().populate_space(str(number))["values"]
        if values is not None and self._duplicate(values):
            values = self._random_values()
        return values

    def restore(self, ended: Sequence[tuple[str, TrialResult]], told: Callable[[int], float]) -> None:
        """Make the trials that have ended this oracle's own, in place of all it knew, and write KerasTuner's files.

        Args:
            ended: the KerasTuner id and the result of each.
            told: gives the finite score that trial number i was told with.
        """
        self.recall(ended, told)
        for trial in self.trials.values():
            self._save_trial(trial)
        self.save()

    def recall(self, ended: Sequence[tuple[str, TrialResult]], told: Callable[[int], float]) -> None:
        """Make the trials that have ended this oracle's own, in place of all it knew; arguments as for `restore`."""
        for kept in (self.trials, self.ongoing_trials, self._id_to_hash, self._run_times):
            kept.clear()
        for order in (self.start_order, self.end_order, self._retry_queue):
            order.clear()
        self._tried_so_far.clear()
        self.remember_running(dict(values) for values, _ in self.known)
        for index, (trial_id, result) in enumerate(ended):
            trial = self._ended_trial(trial_id, result, told(index))
            self.trials[trial_id] = trial
            self.start_order.append(trial_id)
            self.end_order.append(trial_id)
            self._run_times[trial_id] = 1
            self._record_values(trial)

    def remember_running(self, running: Iterable[Values]) -> None:
        """Take the values that other workers train for tried, until the next `recall`."""
        for values in running:
            self._tried_so_far.add(self._compute_values_hash(values))

    @contextmanager
    def _knowing(self) -> Iterator[None]:
        """While the block runs, what is known stands among the trials."""
        known = [self._trial(f"known_{number}", *told) for number, told in enumerate(self.known)]
        self.trials.update({trial.trial_id: trial for trial in known})
        try:
            yield
        finally:
            for trial in known:
                del self.trials[trial.trial_id]

    def _ended_trial(self, trial_id: str, result: TrialResult, score: float) -> Any:
        values = result.config.parameters()
        if result.state is TrialState.FAILED:
            return self._trial(trial_id, values, None, message=result.error)
        return self._trial(trial_id, values, score, step=result.best_epoch or 0)

    def _trial(
        self, trial_id: str, values: Mapping[str, Value], score: float | None, *, step: int = 0, message: str = ""
    ) -> Any:
        """Make a trial that has ended; one without a score has failed."""
        hp = self.get_space()
        hp.values = dict(values)
        status = "FAILED" if score is None else "COMPLETED"
        trial = keras_tuner.engine.trial.Trial(hp, trial_id, status, message or None)
        if score is not None:
            trial.metrics.register(OBJECTIVE, direction="min")
            trial.metrics.update(OBJECTIVE, score, step=step)
            self.score_trial(trial)
        return trial

    def _filled(self, fixed: Mapping[str, Value]) -> Values:
        """Draw every active value that is not fixed."""
        hp = keras_tuner.HyperParameters()
        for parameter in self.hyperparameters.space:
            hp.merge([parameter])
            if hp.is_active(parameter):
                drawn = parameter.random_sample(self._seed_state)
                self._seed_state += 1
                hp.values[parameter.name] = fixed.get(parameter.name, drawn)
        found: Values = hp.values
        return found

    def _inside(self, values: Values) -> Values:
        """Return the numbers among the values, those that rounding put outside their bounds put back."""
        return {
            dimension.name: min(max(number, dimension.low), dimension.high)
            for dimension in self.dimensions
            if dimension.name in values
            and not dimension.choices
            and isinstance(number := values[dimension.name], float)
        }


class RandomOracle(Remembering, RandomSearchOracle):
    """KerasTuner's random search."""


class BayesianOracle(Remembering, BayesianOptimizationOracle):
    """KerasTuner's Gaussian process, with its search for the best point begun where that is likely."""

    def next_values(self, number: int) -> Values | None:
        self.num_initial_points = INITIAL_TRIALS
        self._random_state = _LikelyStarts(self, _drawn(self.study_seed, number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's, that a length scale lies at its bound: nothing to act on
            return super().next_values(number)


class _LikelyStarts:
    """Stands for the generator that KerasTuner draws its 50 starts from, each of which costs 0.1 s of descent.

    It judges many random points at once instead, and gives the few best.
    """

    def __init__(self, oracle: BayesianOracle, seed: int) -> None:
        self.oracle = oracle
        self.rng = np.random.default_rng(seed)

    def uniform(self, low: Any, high: Any, size: tuple[int, int]) -> NDArray[np.float64]:
        points = self.rng.uniform(low, high, size=(JUDGED_STARTS, size[1]))
        mean, deviation = self.oracle.gpr.predict(points, return_std=True)
        best: NDArray[np.float64] = points[np.argsort(mean - self.oracle.beta * deviation)[:KEPT_STARTS]]
        return best


class GridOracle(Remembering, GridSearchOracle):
    """KerasTuner's grid, ten values to a number and its start, visited in a random order.

    In KerasTuner's own order a search of fewer trials than the grid has sees one corner of it.
    """

    def next_values(self, number: int) -> Values | None:
        choices = {parameter.name: _grid_values(parameter) for parameter in self.hyperparameters.space}
        rng = np.random.default_rng([self.study_seed, number])
        for _ in range(GRID_DRAWS):
            values = self._combination(lambda name: choices[name][rng.integers(len(choices[name]))])
            if not self._duplicate(values):
                return values
        return next((values for values in self._all({}, choices) if not self._duplicate(values)), None)

    def _combination(self, pick: Callable[[str], Value]) -> Values:
        hp = keras_tuner.HyperParameters()
        for parameter in self.hyperparameters.space:
            hp.merge([parameter])
            if hp.is_active(parameter):
                hp.values[parameter.name] = pick(parameter.name)
        found: Values = hp.values
        return found

    def _all(self, fixed: Values, choices: Mapping[str, Sequence[Value]]) -> Iterator[Values]:
        """Yield every combination that agrees with the fixed values."""
        names = list(self._combination(lambda name: fixed.get(name, choices[name][0])))
        if len(fixed) == len(names):
            yield dict(fixed)
            return
        name = next(name for name in names if name not in fixed)
        for value in choices[name]:
            yield from self._all({**fixed, name: value}, choices)


class TpeOracle(Remembering):
    """Optuna's TPE behind KerasTuner's interface."""

    def next_values(self, number: int) -> Values | None:
        told = [
            (trial.hyperparameters.values, trial.score)
            for trial in self.trials.values()
            if trial.status == "COMPLETED" and trial.score is not None
        ]
        seed = _drawn(self.study_seed, number)
        return propose(self.dimensions, told, seed=seed, num_suggested=len(self.suggestions))


ORACLES: Mapping[str, type[Remembering]] = {
    "random": RandomOracle,
    "bayesian": BayesianOracle,
    "grid": GridOracle,
    "tpe": TpeOracle,
}


def _grid_values(parameter: Any) -> list[Value]:
    return list(dict.fromkeys([parameter.default, *parameter.values]))


def _drawn(*seeds: int) -> int:
    """Return a positive number that a list of seeds determines; those of different lists are unrelated."""
    return int(np.random.default_rng(seeds).integers(1, 2**31 - 2**16))
