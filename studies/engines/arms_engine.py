"""Propose trials of several optimizers: a bandit chooses the optimizer, TPE the values in units of its bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from studies.dimension import Dimension, Value
from studies.engines.arms import Tried, in_order, next_arm
from studies.engines.observation import Observation, Values
from studies.engines.optuna_engine import OptunaEngine
from studies.engines.places import MIDDLE, SPREAD, place_of, rate_at
from studies.space.optimizer_range import OptimizerRange
from studies.space.search_space import SearchSpace
from studies.trial_config import is_rate_name

PLACE = "place"  # the rate of any optimizer, in units of its bounds
OPTIMIZER, BATCH_SIZE = "optimizer", "batch_size"
ANY_RATE = (1e-10, 1e4)  # further than any bounds and what lies beyond them

RangesOf = Callable[[str], Sequence[OptimizerRange]]
"""Returns an optimizer's bounds, at all batch sizes or one for each; it may run the range test if there is none yet.

The bounds must not depend on when it is called, or in which process.
"""


@dataclass(frozen=True, slots=True)
class _PlacedSpace:
    """A space in which a place stands for the optimizer and its rate."""

    space: SearchSpace

    def dimensions(self) -> tuple[Dimension, ...]:
        others = (one for one in self.space.dimensions() if one.name != OPTIMIZER and not is_rate_name(one.name))
        return (*others, Dimension(PLACE, (), 0.0, 1.0, default=MIDDLE))

    def suggested_parameters(self) -> list[dict[str, Value]]:
        return []


class ArmsEngine:
    """A bandit over optimizers, with one sampler for the values of all of them.

    An optimizer's bounds are asked for when the study first turns to it, and its first trial has the suggested rate;
    the next few trials of the study have rates to either side of it. Trials of another study, if any, show more.
    Rates are searched as places in the bounds: what is learnt on one optimizer serves the others, and rates beyond the
    bounds stay possible at a low weight, see `studies.engines.places`. So the bounds are a prior and no part of the
    space, which must have every rate that is possible, see `with_any_rate`.

    Args:
        space: the space that is searched.
        ranges_of: returns the bounds of an optimizer.
        seed: the seed of the choices.
        first: values of the space that are proposed first, some or all of a trial's.
    """

    repeats_nothing = False

    def __init__(self, space: SearchSpace, ranges_of: RangesOf, *, seed: int = 0, first: Sequence[Values] = ()) -> None:
        self._space, self._ranges_of, self._seed, self._first = space, ranges_of, seed, first
        self._order = in_order(tuple(dict.fromkeys(one.name for one in space.optimizers)))
        self._sampler = OptunaEngine(_PlacedSpace(space), sampler="tpe", seed=seed)
        self._ranges: dict[str, Sequence[OptimizerRange]] = {}

    def expect(self, num_objectives: int) -> None:
        """Hear how many costs each observation will have; the first one ranks optimizers."""
        self._sampler.expect(num_objectives)

    def propose(self, number: int, ended: Sequence[Observation], running: Sequence[Values]) -> Values:
        """Return the values of a trial; see `studies.engines.observation.Engine`."""
        tried = tried_of(ended) + [Tried(str(values[OPTIMIZER]), None) for values in running]
        fixed = dict(self._first[number]) if number < len(self._first) else {}
        arm = str(fixed.get(OPTIMIZER) or next_arm(self._order, tried, number))
        turned = {arm, *(one.arm for one in tried)}
        num_later = len(tried) - len({one.arm for one in tried})
        if not any(values[OPTIMIZER] == arm for values in (*(one.values for one in ended), *running)):
            fixed = {PLACE: MIDDLE, **fixed}
        elif all(one.number >= 0 for one in ended) and num_later < len(SPREAD):
            fixed = {PLACE: 1 - SPREAD[num_later] if self._seed % 2 else SPREAD[num_later], **fixed}
        placed = self._sampler.propose_with(
            number,
            {name: value for name, value in fixed.items() if name != OPTIMIZER and not is_rate_name(name)},
            [replace(one, values=self._placed(one.values)) for one in ended if one.values[OPTIMIZER] in turned],
            [self._placed(values) for values in running],
        )
        return {**self._unplaced(arm, placed), **{name: value for name, value in fixed.items() if name != PLACE}}

    def _placed(self, values: Values) -> Values:
        """Return the values of a trial with its place in the stead of its optimizer and rate."""
        bounds = self._bounds(str(values[OPTIMIZER]), values)
        rate = next(float(value) for name, value in values.items() if is_rate_name(name))
        others = {name: value for name, value in values.items() if name != OPTIMIZER and not is_rate_name(name)}
        return {**others, PLACE: place_of(rate, bounds, self._space.schedules)}

    def _unplaced(self, arm: str, placed: Values) -> dict[str, Value]:
        bounds = self._bounds(arm, placed)
        rate = rate_at(float(placed[PLACE]), bounds, self._space.schedules)
        others = {name: value for name, value in placed.items() if name != PLACE}
        possible = next(one for one in self._space.optimizers if one.label == bounds.label)
        return {OPTIMIZER: arm, bounds.rate_name: min(max(rate, possible.low), possible.high), **others}

    def _bounds(self, arm: str, values: Mapping[str, Value]) -> OptimizerRange:
        if arm not in self._ranges:
            self._ranges[arm] = self._ranges_of(arm)
        return next(one for one in self._ranges[arm] if one.batch_size in (None, values[BATCH_SIZE]))


def tried_of(ended: Sequence[Observation]) -> list[Tried]:
    """Return the trials of a study that have ended, without those of another study, in the order of their numbers."""
    of_study = sorted((one for one in ended if one.number >= 0), key=lambda one: one.number)
    return [Tried(str(one.values[OPTIMIZER]), one.cost) for one in of_study]


def ranges_in(space: SearchSpace) -> RangesOf:
    """Return what finds an optimizer's bounds in a space that is narrowed to them."""
    return lambda optimizer: [one for one in space.optimizers if one.name == optimizer]


def with_any_rate(space: SearchSpace) -> SearchSpace:
    """Return the space with every rate that an optimizer might need in place of its bounds.

    It is the same whatever the bounds are, and so is a study of it.
    """
    low, high = ANY_RATE
    ranges = (OptimizerRange(one.name, low, high, batch_size=one.batch_size) for one in space.optimizers)
    return replace(space, optimizers=tuple(ranges))
