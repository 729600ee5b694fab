"""Propose trials of several optimizers: a bandit chooses the optimizer, TPE the values in units of its bounds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from studies.dimension import Dimension, Value
from studies.engines.arms import Tried, in_order, next_arm
from studies.engines.bracket import Seen, centre_of, next_step, refined
from studies.engines.observation import PARAMETERS, Observation, Values
from studies.engines.optuna_engine import OptunaEngine
from studies.engines.places import place_of, position_at, position_of, rate_at
from studies.space.optimizer_range import OptimizerRange
from studies.space.search_space import SearchSpace
from studies.trial_config import is_rate_name

PLACE = "place"  # the rate of any optimizer, in units of its bounds
OPTIMIZER, BATCH_SIZE = "optimizer", "batch_size"
REFINED = 7  # trials of an optimizer, after which every other one is the sampler's: a bracket may be of a lesser valley
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
        return (*others, Dimension(PLACE, (), 0.0, 1.0, default=0.5))

    def suggested_parameters(self) -> list[dict[str, Value]]:
        return []


class ArmsEngine:
    """A bandit over optimizers, with one sampler for the values of all of them.

    An optimizer's bounds are asked for when the study first turns to it, and its first trial has the suggested rate;
    the next few trials of the study bracket the best rate, and if nothing else is searched, those of each optimizer
    draw the bracket together, see `studies.engines.bracket`. Rates are searched as places
    in the bounds: what is learnt on one optimizer serves the others, and rates beyond the bounds stay possible at a low
    weight, see `studies.engines.places`. If trials exclude the suggested rates, all optimizers are searched around the
    best position of one. So the bounds are a prior and no part of the space, which must have every rate that is
    possible, see `with_any_rate`.

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
        placed = _PlacedSpace(space)
        self._sampler = OptunaEngine(placed, sampler="tpe", seed=seed)
        self._ranges: dict[str, Sequence[OptimizerRange]] = {}
        self._has_only_rates = all(len(one.choices) == 1 for one in placed.dimensions() if one.name != PLACE)

    def expect(self, num_objectives: int) -> None:
        """Hear how many costs each observation will have; the first one ranks optimizers."""
        self._sampler.expect(num_objectives)

    def propose(self, number: int, ended: Sequence[Observation], running: Sequence[Values]) -> Values:
        """Return the values of a trial; see `studies.engines.observation.Engine`."""
        tried = tried_of(ended) + [Tried(str(values[OPTIMIZER]), None) for values in running]
        turned = {one.arm for one in tried}
        fixed = dict(self._first[number]) if number < len(self._first) else {}
        step = self._step(_of_arms(ended, turned), running)
        arm = str(fixed.get(OPTIMIZER) or next_arm(self._order, tried, number, is_bracketed=step is None))
        known = _of_arms(ended, {arm, *turned})
        centre = centre_of(self._all_seen(known))
        position = self._given_position(arm, known, running, centre)
        if position is not None:
            fixed = {PLACE: place_of(position, centre), **fixed}
        placed = self._sampler.propose_with(
            number,
            {name: value for name, value in fixed.items() if name != OPTIMIZER and not is_rate_name(name)},
            [replace(one, values=self._placed(one.values, centre)) for one in known],
            [self._placed(values, centre) for values in running],
        )
        others = {name: value for name, value in fixed.items() if name != PLACE}
        return {**self._unplaced(arm, placed, position_at(float(placed[PLACE]), centre)), **others}

    def _given_position(
        self, arm: str, known: Sequence[Observation], running: Sequence[Values], centre: float
    ) -> float | None:
        """Return the position of an optimizer's first trial, or of a step to the best one; None for the sampler."""
        if not any(values[OPTIMIZER] == arm for values in (*(one.values for one in known), *running)):
            return centre
        step = self._step(known, running)
        if step is not None:
            return step
        own = self._all_seen(_of_arms(known, {arm}))
        is_alone = self._has_only_rates and all(values[OPTIMIZER] != arm for values in running)
        return refined(own) if is_alone and (len(own) <= REFINED or len(own) % 2 == 0) else None

    def _step(self, known: Sequence[Observation], running: Sequence[Values]) -> float | None:
        """Return the position of the next step to bracket the best rate; None if there is none to take now."""
        unscored = (*running, *(one.values for one in known if one.cost is None))  # what failed once is not tried again
        return next_step(
            self._all_seen(known), [self._position(one) for one in unscored], up_first=bool(self._seed % 2)
        )

    def _all_seen(self, known: Sequence[Observation]) -> list[Seen]:
        return [one for each in known if (one := self._seen(each)) is not None]

    def _seen(self, observation: Observation) -> Seen | None:
        """Return what a trial showed of its rate; None if it failed, or its model was not trained."""
        if observation.cost is None or observation.constraints.get(PARAMETERS, 0.0) > 0:
            return None
        return Seen(str(observation.values[OPTIMIZER]), self._position(observation.values), observation.cost)

    def _position(self, values: Values) -> float:
        rate = next(float(value) for name, value in values.items() if is_rate_name(name))
        return position_of(rate, self._bounds(str(values[OPTIMIZER]), values), self._space.schedules)

    def _placed(self, values: Values, centre: float) -> Values:
        """Return the values of a trial with its place in the stead of its optimizer and rate."""
        others = {name: value for name, value in values.items() if name != OPTIMIZER and not is_rate_name(name)}
        return {**others, PLACE: place_of(self._position(values), centre)}

    def _unplaced(self, arm: str, placed: Values, position: float) -> dict[str, Value]:
        bounds = self._bounds(arm, placed)
        rate = rate_at(position, bounds, self._space.schedules)
        others = {name: value for name, value in placed.items() if name != PLACE}
        possible = next(one for one in self._space.optimizers if one.label == bounds.label)
        return {OPTIMIZER: arm, bounds.rate_name: min(max(rate, possible.low), possible.high), **others}

    def _bounds(self, arm: str, values: Mapping[str, Value]) -> OptimizerRange:
        if arm not in self._ranges:
            self._ranges[arm] = self._ranges_of(arm)
        return next(one for one in self._ranges[arm] if one.batch_size in (None, values[BATCH_SIZE]))


def _of_arms(ended: Sequence[Observation], arms: Collection[str]) -> list[Observation]:
    return [one for one in ended if one.values[OPTIMIZER] in arms]


def tried_of(ended: Sequence[Observation]) -> list[Tried]:
    """Return the trials of a study that have ended, without those of another study, in the order of their numbers."""
    of_study = sorted((one for one in ended if one.number >= 0), key=lambda one: one.number)
    return [Tried(str(one.values[OPTIMIZER]), one.cost) for one in of_study]


def ranges_in(space: SearchSpace) -> RangesOf:
    """Return what finds an optimizer's bounds in a space that is narrowed to them."""
    return lambda optimizer: [one for one in space.optimizers if one.name == optimizer]


def in_arms(space: SearchSpace, *, seed: int = 0) -> tuple[SearchSpace, ArmsEngine]:
    """Return what a study takes whose optimizers begin inside their ranges of a space, and may leave them.

    >>> in_arms(SearchSpace((OptimizerRange("sgd", 1e-3, 0.1),)))[0].optimizers[0].low < 1e-3
    True
    """
    wide = with_any_rate(space)
    return wide, ArmsEngine(wide, ranges_in(space), seed=seed)


def with_any_rate(space: SearchSpace) -> SearchSpace:
    """Return the space with every rate that an optimizer might need in place of its bounds.

    It is the same whatever the bounds are, and so is a study of it.
    """
    low, high = ANY_RATE
    ranges = (OptimizerRange(one.name, low, high, batch_size=one.batch_size) for one in space.optimizers)
    return replace(space, optimizers=tuple(ranges))
