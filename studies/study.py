"""Knows what a study is, whichever engine proposes its trials, and which of its trials is best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from studies.trainer import Trained, Trainer
from studies.trial import TrialResult, TrialState

PENALTY_SHARE = 0.1  # a diverged trial is told as worse than the worst seen, by this part of the range seen
NO_SCORE = 1.0  # told for a diverged trial in a study where no loss was ever finite


class Study(Protocol):
    """Proposes trials inside a search space, has them trained, remembers what they showed."""

    def run(
        self, trainer: Trainer, *, num_trials: int, on_trial: Callable[[Trained], None] = ...
    ) -> Sequence[TrialResult]:
        """Go on until `num_trials` trials have ended, those of earlier runs included; return them all."""

    def results(self) -> Sequence[TrialResult]:
        """Return the trials that have ended, in the order of their numbers."""


def best_of(results: Iterable[TrialResult]) -> TrialResult | None:
    """Return the trial with the lowest validation loss that was trained to its end; None where there is none."""
    scored = [result for result in results if result.state is TrialState.COMPLETED and result.score is not None]
    return min(scored, key=lambda result: (result.score, result.number), default=None)


def told_score(result: TrialResult, others: Iterable[TrialResult]) -> float:
    """Return the finite number that a sampler is told of a trial: its score, or a penalty where it diverged.

    The penalty is a bit worse than the worst score seen, so that the sampler turns away from the place without one
    huge number bending what it knows of the rest.
    """
    if result.state is TrialState.COMPLETED and result.score is not None:
        return result.score
    seen = [other.score for other in others if other.state is TrialState.COMPLETED and other.score is not None]
    seen = seen or [loss for loss in (*result.train_losses, *result.val_losses) if abs(loss) < float("inf")]
    if not seen:
        return NO_SCORE
    return max(seen) + PENALTY_SHARE * ((max(seen) - min(seen)) or abs(max(seen)) or 1.0)
