"""Turn the result of a trial into what an engine may learn from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from studies.dimension import Value
from studies.ranking import excess_gap
from studies.trial import TrialResult, TrialState

PENALTY_SHARE = 0.1  # a diverged trial is worse than the worst one seen by this part of the range seen
NO_SCORE = 1.0  # of a diverged trial in a study where no loss was ever finite

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Observation:
    """What an engine may learn from a trial that ended.

    Attributes:
        number: of the trial; negative for a trial of another study.
        values: of its active dimensions, by name.
        score: a finite number, lower is better; None if the trial failed.
        excess_gap: by how much its generalisation gap is larger than allowed, 0 if it is not; None if every gap is.
    """

    number: int
    values: Values
    score: float | None
    excess_gap: float | None = None


class Engine(Protocol):
    """Proposes the values of trials; `repeats_nothing` says that it never proposes one point twice."""

    repeats_nothing: bool

    def propose(self, number: int, ended: Sequence[Observation], running: Sequence[Values]) -> Values | None:
        """Return the values of a trial; None if all of the space has been tried.

        The same seed, number and observations give the same values, whatever was proposed before.

        Args:
            number: of the trial.
            ended: the trials that have ended, and those of other studies, in any order.
            running: the values of the trials that are being trained.
        """


def observe(result: TrialResult, others: Iterable[TrialResult], max_gap: float | None) -> Observation:
    """Return what an engine may learn from a trial of a study.

    Args:
        result: of the trial.
        others: of the trials before it.
        max_gap: the largest generalisation gap allowed; None allows any.
    """
    gap = None if max_gap is None else excess_gap(result, max_gap)
    return Observation(result.number, result.config.parameters(), score_for_engines(result, others), gap)


def score_for_engines(result: TrialResult, others: Iterable[TrialResult]) -> float | None:
    """Return the finite number that engines see as a trial's score; None for a failed trial.

    A diverged trial gets a penalty, a bit worse than the worst score seen, so that an engine turns away from the place
    without one huge number bending what it knows of the rest. A pruned trial has its score: it was in the worse half,
    and what it would have reached is not known.
    """
    ended = (TrialState.COMPLETED, TrialState.PRUNED)
    if result.state is TrialState.FAILED:
        return None
    if result.state in ended and result.score is not None:
        return result.score
    seen = [other.score for other in others if other.state in ended and other.score is not None]
    seen = seen or [loss for loss in (*result.train_losses, *result.val_losses) if abs(loss) < float("inf")]
    if not seen:
        return NO_SCORE
    return max(seen) + PENALTY_SHARE * ((max(seen) - min(seen)) or abs(max(seen)) or 1.0)
