"""Turn the result of a trial into an observation, from which an engine may learn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from studies.dimension import Dimension, Value
from studies.limits import NO_LIMITS, Limits
from studies.objective import VAL_LOSS, Objectives
from studies.ranking import excess_gap
from studies.trial import TrialResult, TrialState

PENALTY_SHARE = 0.1  # a diverged trial is worse than the worst score by this part of the range of scores
NO_COST = 1.0  # of a diverged trial in a study where no score was ever finite; no metric to be maximised is below -1

GAP, PARAMETERS = "generalisation_gap", "num_parameters"  # the names of constraints

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Observation:
    """The facts that an engine may learn from a trial that ended.

    Attributes:
        number: the trial's number; negative for a trial of another study.
        values: the values of its active dimensions, by name.
        cost: a finite number, lower is better; None if the trial failed.
        further: the costs of further objectives, as the first.
        excess_gap: by how much its generalisation gap is too large, 0 if it is allowed; None if any gap is allowed.
        excess_parameters: how many parameters its model has too many, 0 if it has few enough; None if any number is
            allowed.
    """

    number: int
    values: Values
    cost: float | None
    excess_gap: float | None = None
    excess_parameters: int | None = None
    further: tuple[float, ...] = ()

    @property
    def constraints(self) -> dict[str, float]:
        """By name; a positive value violates the constraint."""
        values = {GAP: self.excess_gap, PARAMETERS: self.excess_parameters}
        return {name: value for name, value in values.items() if value is not None}


class Engine(Protocol):
    """Propose the values of trials; `repeats_nothing` says that no point is proposed twice."""

    repeats_nothing: bool

    def expect(self, num_objectives: int) -> None:
        """Hear how many costs each observation will have, before the first proposal.

        Raises:
            ValueError: if the engine cannot learn from so many.
        """

    def propose(self, number: int, ended: Sequence[Observation], running: Sequence[Values]) -> Values | None:
        """Return the values of a trial; None if all of the space has been tried.

        The same seed, number and observations give the same values, whatever was proposed before.

        Args:
            number: the trial's number.
            ended: the trials that have ended, and those of other studies, in any order.
            running: the values of the trials that are being trained.
        """


def observe(
    result: TrialResult,
    others: Sequence[TrialResult],
    max_gap: float | None,
    limits: Limits = NO_LIMITS,
    further: Objectives = (),
) -> Observation:
    """Return the observation of a trial of a study.

    Args:
        result: the trial's result.
        others: the results of the trials before it.
        max_gap: the largest generalisation gap allowed; None allows any.
        limits: of the study.
        further: the objectives after the first.
    """
    cost = cost_for_engines(result, others)
    return Observation(
        result.number,
        result.config.parameters(),
        cost,
        *excesses(result, max_gap, limits),
        further_costs(result, others, further),
    )


def excesses(result: TrialResult, max_gap: float | None, limits: Limits) -> tuple[float | None, int | None]:
    """Return by how much a trial's gap is too large, and its model; None if any gap, or any model, is allowed."""
    gap = None if max_gap is None else excess_gap(result, max_gap)
    return gap, None if limits.max_parameters is None else limits.excess(result.num_parameters)


def cost_for_engines(result: TrialResult, others: Iterable[TrialResult]) -> float | None:
    """Return the finite number that engines see as a trial's cost, lower is better; None for a failed trial.

        penalty = worst + PENALTY_SHARE * (worst - best)

    A diverged or infeasible trial gets this `penalty`, from the costs of the others. An engine then avoids its region,
    and no huge number distorts what it learns elsewhere. A pruned trial has its cost: it was in the worse half, and its
    later epochs are unknown.
    """
    ended = (TrialState.COMPLETED, TrialState.PRUNED, TrialState.TIMED_OUT)
    if result.state not in (TrialState.DIVERGED, TrialState.INFEASIBLE):
        return None if result.state is TrialState.FAILED else result.cost
    seen = [other.cost for other in others if other.state in ended and other.cost is not None]
    seen = seen or [cost for cost in (*result.costs, *_losses(result)) if math.isfinite(cost)]
    return penalty(seen)


def further_costs(result: TrialResult, others: Iterable[TrialResult], objectives: Objectives) -> tuple[float, ...]:
    """Return the finite cost of each further objective; what a trial lacks is a bit worse than the worst of others."""
    costs = []
    for objective in objectives:
        value = result.value_of(objective)
        seen = [objective.cost(other) for one in others if (other := one.value_of(objective)) is not None]
        costs.append(penalty(seen) if value is None else objective.cost(value))
    return tuple(costs)


def penalty(costs: Sequence[float]) -> float:
    """Return a cost that is a bit worse than the worst of these."""
    if not costs:
        return NO_COST
    return max(costs) + PENALTY_SHARE * ((max(costs) - min(costs)) or abs(max(costs)) or 1.0)


def _losses(result: TrialResult) -> tuple[float, ...]:
    """Return the losses, if they are of the kind of the objective."""
    return result.train_losses if result.objective == VAL_LOSS else ()


def distance(one: Values, other: Values, dimensions: Mapping[str, Dimension]) -> float:
    """Return how different the values of two trials are: the sum over their dimensions, each from 0 to 1.

    A number differs by a part of its range, logarithmic if its dimension is; other choices, and a dimension that only
    one of the trials has, differ by 1.
    """
    total = 0.0
    for name in one.keys() | other.keys():
        dimension, values = dimensions[name], (one.get(name), other.get(name))
        if dimension.choices or None in values:
            total += values[0] != values[1]
        elif dimension.low < dimension.high:
            ends = [*map(float, values), float(dimension.low), float(dimension.high)]  # type: ignore[arg-type]  # none is None
            first, second, low, high = map(math.log, ends) if dimension.log else ends
            total += abs(first - second) / (high - low)
    return total
