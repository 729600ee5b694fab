"""Propose trials by their numbers with Optuna's samplers, whatever stores the trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from studies.dimension import Dimension, Value
from studies.engines.observation import Observation, Values, distance, penalty
from studies.engines.optuna_samplers import check_sampler, distribution, make_sampler, quiet_optuna
from studies.engines.quasi_random import quasi_random_values
from studies.space.suggesting import ask_optuna

if TYPE_CHECKING:
    import optuna

FAILURE = "failure"  # the name of a constraint that a trial which raised violates
NUM_DRAWS = 4  # of a trial whose like failed
VIOLATED, HELD = 1e3, 0.0  # more than any gap: a trial without a cost is worse than one whose gap is too large


class Suggesting(Protocol):
    """A space as an engine sees it; see `SearchSpace`."""

    def dimensions(self) -> tuple[Dimension, ...]: ...

    def suggested_parameters(self) -> list[dict[str, Value]]: ...


class OptunaEngine:
    """One of Optuna's samplers, on a study in memory with the trials that have ended.

    Each proposal has a new sampler, whose seed is the study's seed with the trial's number. A proposal therefore does
    not depend on the process that asks, or on how often it was stopped. Quasi-random points come from SciPy, because
    Optuna's sampler counts in the storage instead of using the trial's number. "cmaes" adapts to the trials that this
    process proposed. If a process goes on, its evolution begins again, from the results of the others.

    Args:
        space: the space that is searched; its dimensions and suggestions are all that is used.
        sampler: "tpe", "random", "qmc", "gp" or "cmaes".
        seed: the seed of the choices.
        first: values of the space that are proposed first, some or all of a trial's; then come the rates that the range
            tests suggest.

    Raises:
        ValueError: for an unknown sampler.
        ImportError: if a package that the sampler needs is not installed.
    """

    repeats_nothing = False

    def __init__(self, space: Suggesting, *, sampler: str = "tpe", seed: int = 0, first: Sequence[Values] = ()) -> None:
        check_sampler(sampler)
        self._num_objectives = 1
        self._sampler, self._seed = sampler, seed
        self._dimensions = {dimension.name: dimension for dimension in space.dimensions()}
        self._suggestions: list[Values] = [*first, *space.suggested_parameters()]
        self._study: optuna.Study | None = None
        self._asked: dict[int, tuple[optuna.Trial, Values]] = {}
        self._known: dict[int, Observation] = {}

    def expect(self, num_objectives: int) -> None:
        """Hear how many costs each observation will have, before the first proposal."""
        check_sampler(self._sampler, num_objectives=num_objectives)
        self._num_objectives = num_objectives

    def propose(self, number: int, ended: Sequence[Observation], running: Sequence[Values]) -> Values:
        """Return the values of a trial; see `studies.engines.observation.Engine`."""
        suggestion = self._suggestions[number] if number < len(self._suggestions) else {}
        return self.propose_with(number, suggestion, ended, running)

    def propose_with(
        self, number: int, suggestion: Values, ended: Sequence[Observation], running: Sequence[Values]
    ) -> Values:
        """Return the values of a trial, of which the suggested ones are given; else as `propose` does."""
        if self._sampler == "qmc":
            return quasi_random_values(self._dimensions.values(), number, seed=self._seed, fixed=suggestion)
        study = self._informed(ended)
        others = [self._add_running(study, values) for values in running]
        trial, values = self._asked_for(study, number, suggestion, ended)
        for other in others:
            _leave(study, other)
        if number in self._asked:
            _leave(study, self._asked[number][0].number)
        self._asked[number] = trial, values
        return values

    def _asked_for(
        self, study: optuna.Study, number: int, suggestion: Values, ended: Sequence[Observation]
    ) -> tuple[optuna.Trial, Values]:
        """Ask for a trial, and a few times again if the trial most like it failed: TPE keeps away too late."""
        num_draws = NUM_DRAWS if self._sampler == "tpe" and any(one.cost is None for one in ended) else 1
        draws = np.random.default_rng([self._seed, number]).integers(2**31, size=num_draws)
        for at, seed in enumerate(draws, start=1):
            study.sampler = make_sampler(self._sampler, int(seed), num_suggested=len(self._suggestions))
            if suggestion:
                study.enqueue_trial(dict(suggestion))
            trial = study.ask()
            values = ask_optuna(trial, self._dimensions.values())
            if at == num_draws or suggestion or not self._is_like_a_failure(values, ended):
                break
            _leave(study, trial.number)
        return trial, values

    def _is_like_a_failure(self, values: Values, ended: Sequence[Observation]) -> bool:
        nearest = min(ended, key=lambda one: distance(values, one.values, self._dimensions))
        return nearest.cost is None

    def _informed(self, ended: Sequence[Observation]) -> optuna.Study:
        """Return the study in memory, with all trials that have ended; a new one if one of them has gone on since."""
        import optuna

        if any(self._known.get(one.number, one) != one for one in ended):
            self._study, self._asked, self._known = None, {}, {}
        if self._study is None:
            with quiet_optuna():
                self._study = optuna.create_study(directions=["minimize"] * self._num_objectives)
        for observation in sorted(ended, key=lambda one: one.number):
            if observation.number not in self._known:
                self._known[observation.number] = observation
                self._add_ended(self._study, observation)
        return self._study

    def _add_ended(self, study: optuna.Study, observation: Observation) -> None:
        trial, values = self._asked.pop(observation.number, (None, None))
        constraints = {**observation.constraints, FAILURE: VIOLATED if observation.cost is None else HELD}
        costs = [observation.cost, *observation.further] if observation.cost is not None else self._penalties(study)
        if trial is not None and values == observation.values:
            for name, excess in constraints.items():
                trial.set_constraint(name, excess)
            study.tell(trial, costs)
            return
        if trial is not None:
            _leave(study, trial.number)  # another worker was faster, or its model lacks some hyperparameters
        study.add_trial(self._made(observation.values, {"values": costs, "constraints": constraints}))

    def _penalties(self, study: optuna.Study) -> list[float]:
        """Return the costs of a failed trial: a sampler without constraints avoids it as it avoids a diverged one."""
        ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
        whole = [trial.values for trial in ended if trial.constraints.get(FAILURE) != VIOLATED]
        return [penalty([values[at] for values in whole]) for at in range(self._num_objectives)]

    def _add_running(self, study: optuna.Study, values: Values) -> int:
        import optuna

        study.add_trial(self._made(values, {"state": optuna.trial.TrialState.RUNNING}))
        return len(study.get_trials(deepcopy=False)) - 1

    def _made(self, values: Values, options: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
        import optuna

        distributions = {name: distribution(self._dimensions[name]) for name in values}
        return optuna.trial.create_trial(params=dict(values), distributions=distributions, **options)


def _leave(study: optuna.Study, number: int) -> None:
    """End a trial without a value."""
    import optuna

    study.tell(number, state=optuna.trial.TrialState.FAIL)
