"""Turn the result of a trial into an observation, from which an engine may learn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from studies.dimension import Dimension, Value
from studies.ranking import excess_gap
from studies.trial import TrialResult, TrialState

PENALTY_SHARE = 0.1  # a diverged trial is worse than the worst score by this part of the range of scores
NO_SCORE = 1.0  # of a diverged trial in a study where no loss was ever finite

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Observation:
    """The facts that an engine may learn from a trial that ended.

    Attributes:
        number: the trial's number; negative for a trial of another study.
        values: the values of its active dimensions, by name.
        score: a finite number, lower is better; None if the trial failed.
        excess_gap: by how much its generalisation gap is too large, 0 if it is allowed; None if any gap is allowed.
    """

    number: int
    values: Values
    score: float | None
    excess_gap: float | None = None


class Engine(Protocol):
    """Propose the values of trials; `repeats_nothing` says that no point is proposed twice."""

    repeats_nothing: bool

    def propose(self, number: int, ended: Sequence[Observation], running: Sequence[Values]) -> Values | None:
        """Return the values of a trial; None if all of the space has been tried.

        The same seed, number and observations give the same values, whatever was proposed before.

        Args:
            number: the trial's number.
            ended: the trials that have ended, and those of other studies, in any order.
            running: the values of the trials that are being trained.
        """


def observe(result: TrialResult, others: Iterable[TrialResult], max_gap: float | None) -> Observation:
    """Return the observation of a trial of a study.

    Args:
        result: the trial's result.
        others: the results of the trials before it.
        max_gap: the largest generalisation gap allowed; None allows any.
    """
    gap = None if max_gap is None else excess_gap(result, max_gap)
    return Observation(result.number, result.config.parameters(), score_for_engines(result, others), gap)


def score_for_engines(result: TrialResult, others: Iterable[TrialResult]) -> float | None:
    """Return the finite number that engines see as a trial's score; None for a failed trial.

        penalty = worst + PENALTY_SHARE * (worst - best)

    A diverged trial gets this `penalty`, from the scores of the others. An engine then avoids its region, and no huge
    number distorts what it learns elsewhere. A pruned trial has its score: it was in the worse half, and its later
    losses are unknown.
    """
    ended = (TrialState.COMPLETED, TrialState.PRUNED)
    if result.state is TrialState.FAILED:
        return None
    if result.state in ended and result.score is not None:
        return result.score
    seen = [other.score for other in others if other.state in ended and other.score is not None]
    seen = seen or [loss for loss in (*result.train_losses, *result.val_losses) if abs(loss) < float("inf")]
    return penalty(seen)


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


def penalty(scores: Sequence[float]) -> float:
    """Return a score that is a bit worse than the worst of these."""
    if not scores:
        return NO_SCORE
    return max(scores) + PENALTY_SHARE * ((max(scores) - min(scores)) or abs(max(scores)) or 1.0)
