"""Propose trials by their numbers with KerasTuner's oracles, whatever stores the trials."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from studies.engines.observation import Engine, Observation, Values
from studies.engines.optuna_engine import OptunaEngine
from studies.engines.sampler_names import check_name
from studies.space.search_space import SearchSpace

if TYPE_CHECKING:
    from studies.engines.keras_tuner_oracles import NumberedOracle

SAMPLERS = ("random", "bayesian", "grid", "tpe")
SINGLE = ("bayesian",)  # samplers that learn from one objective only


def check_sampler(name: str, *, num_objectives: int = 1) -> None:
    """Refuse a sampler that cannot be made.

    Raises:
        ValueError: for an unknown sampler, or one that learns from one objective only, if there are several.
    """
    check_name(name, SAMPLERS, SINGLE, num_objectives)


def keras_tuner_engine(
    space: SearchSpace, *, sampler: str = "random", seed: int = 0, first: Sequence[Values] = ()
) -> Engine:
    """Return one of KerasTuner's oracles as an engine.

    KerasTuner's chief and workers are not used. If a worker is killed, its trial runs for ever, and the chief waits
    for it without end; neither has a heartbeat or a storage that outlives a process.

    Args:
        space: the space that is searched.
        sampler: "random", "bayesian" or "grid", which are KerasTuner's, or "tpe", which is Optuna's.
        seed: the seed of the choices.
        first: values of the space that are proposed first; then come the rates that the range tests suggest.

    Raises:
        ValueError: for an unknown sampler.
    """
    check_sampler(sampler)
    if sampler == "tpe":
        return OptunaEngine(space, sampler="tpe", seed=seed, first=first)
    return _OracleEngine(space, sampler, seed, first)


class _OracleEngine:
    """A KerasTuner oracle, made at the first proposal, because KerasTuner takes seconds to import."""

    def __init__(self, space: SearchSpace, sampler: str, seed: int, first: Sequence[Values]) -> None:
        self._space, self._sampler, self._seed, self._first = space, sampler, seed, first
        self.repeats_nothing = sampler == "grid"

    @cached_property
    def _oracle(self) -> NumberedOracle:
        from studies.engines.keras_tuner_oracles import ORACLES

        return ORACLES[self._sampler](self._space, seed=self._seed, first=self._first)

    def expect(self, num_objectives: int) -> None:
        """Refuse several for an oracle that learns from the first alone; the others learn from none."""
        check_sampler(self._sampler, num_objectives=num_objectives)

    def propose(self, number: int, ended: Sequence[Observation], running: Sequence[Values]) -> Values | None:
        """Return the values of a trial; see `studies.engines.observation.Engine`."""
        return self._oracle.values_of(number, ended, running)
