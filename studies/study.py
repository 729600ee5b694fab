"""Knows what a study is, whichever engine proposes its trials: what is told of a trial, and which one is best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from studies.dimension import Value
from studies.overfitting import check_overfitting
from studies.pruning import is_worse_than_its_peers
from studies.space.search_space import SearchSpace
from studies.trainer import EpochDecision, EpochEnded, OnEpoch, Trained, Trainer
from studies.training.checkpoint import TrialCheckpoint
from studies.trial import TrialConfig, TrialResult, TrialState

PENALTY_SHARE = 0.1  # a diverged trial is told as worse than the worst seen, by this part of the range seen
NO_SCORE = 1.0  # told for a diverged trial in a study where no loss was ever finite

OnTrial = Callable[[Trained], None]
OnWait = Callable[[], None]
Resume = Callable[[int], TrialCheckpoint | None]  # by the number of the trial
Told = tuple[Mapping[str, Value], float]  # a trial's active values, and the finite number that a sampler is told


def nothing_kept(number: int) -> None:
    """Say that no trial was interrupted."""


class Study(Protocol):
    """Proposes trials inside a search space, has them trained, remembers what they showed."""

    def run(
        self,
        trainer: Trainer,
        *,
        num_trials: int,
        on_trial: OnTrial = ...,
        on_epoch: OnEpoch = ...,
        resume: Resume = ...,
        on_wait: OnWait = ...,
    ) -> Sequence[TrialResult]:
        """Go on until `num_trials` trials have ended, those of earlier runs included; return them all."""

    def results(self) -> Sequence[TrialResult]:
        """Return the trials that have ended, in the order of their numbers."""


@dataclass(frozen=True, slots=True)
class TrialRunner:
    """Trains the trials that an engine proposes, and decides with the study's results whether one is cut.

    Attributes:
        trainer: trains them.
        prunes: whether trials are cut that are worse than their peers.
        on_trial: the caller's; told of each trial that ended.
        on_epoch: the caller's; told of each epoch after which a trial is not cut.
        resume: gives where a trial of this number was interrupted, if it was; it goes on from there when the engine
            proposes the same values again.
    """

    trainer: Trainer
    prunes: bool
    on_trial: OnTrial
    on_epoch: OnEpoch
    resume: Resume

    def run(
        self,
        config: TrialConfig,
        results: Sequence[TrialResult],
        *,
        number: int,
        check: Callable[[bool], None] = lambda ends: None,
    ) -> Trained:
        """Train the next trial and tell the caller; an error of the user's model ends this trial, not the study.

        Args:
            config: the trial's values.
            results: the trials that have ended.
            number: the trial's number.
            check: the engine's; called at the end of each epoch, and at the end of the trial with True, before the
                caller is told. What it raises ends the trial.
        """
        trained = self._trained(config, results, number, check)
        check(True)
        self.on_trial(trained)
        return trained

    def _trained(
        self, config: TrialConfig, results: Sequence[TrialResult], number: int, check: Callable[[bool], None]
    ) -> Trained:
        callers_errors: list[Exception] = []

        def on_epoch(ended: EpochEnded) -> EpochDecision | None:
            if self.prunes and is_worse_than_its_peers(
                config, ended.train_losses, ended.val_losses, results, epochs=ended.epochs
            ):
                return EpochDecision.PRUNE
            try:
                check(False)
                return self.on_epoch(ended)
            except Exception as error:
                callers_errors.append(error)
                raise

        kept = self.resume(number)
        resume = kept if kept is not None and kept.config == config else None
        try:
            return self.trainer.train(config, number=number, resume=resume, on_epoch=on_epoch)
        except Exception as error:  # the model is the user's code, which may raise anything somewhere in the space
            if callers_errors:
                raise
            message = f"{type(error).__name__}: {error}"
            return Trained(TrialResult(number, config, TrialState.FAILED, error=message), None)


def best_of(results: Iterable[TrialResult], *, max_gap: float | None = None) -> TrialResult | None:
    """Return the trial with the lowest validation loss that was trained to its end; None where there is none.

    Args:
        results: of a study.
        max_gap: the largest generalisation gap allowed; where every trial's is larger, the smallest excess wins.
    """
    scored = [result for result in results if result.state is TrialState.COMPLETED and result.score is not None]
    return min(scored, key=lambda result: (excess_gap(result, max_gap), result.score, result.number), default=None)


def excess_gap(result: TrialResult, max_gap: float | None) -> float:
    """Return by how much a trial's validation loss lies above its training loss, at its best epoch, beyond `max_gap`.

    It is 0 where the gap is allowed, where `max_gap` is None, and where there is no gap to judge.
    """
    if max_gap is None or not result.val_losses:
        return 0.0
    gap = check_overfitting(result.train_losses, result.val_losses).generalisation_gap
    return 0.0 if gap is None else max(0.0, gap - max_gap)


def told_score(result: TrialResult, others: Iterable[TrialResult]) -> float:
    """Return the finite number that a sampler is told of a trial: its score, or a penalty where it diverged.

    The penalty is a bit worse than the worst score seen, so that the sampler turns away from the place without one
    huge number bending what it knows of the rest. A pruned trial is told with its score: it was the worse half there,
    and what it would have reached is not known.
    """
    ended = (TrialState.COMPLETED, TrialState.PRUNED)
    if result.state in ended and result.score is not None:
        return result.score
    seen = [other.score for other in others if other.state in ended and other.score is not None]
    seen = seen or [loss for loss in (*result.train_losses, *result.val_losses) if abs(loss) < float("inf")]
    if not seen:
        return NO_SCORE
    return max(seen) + PENALTY_SHARE * ((max(seen) - min(seen)) or abs(max(seen)) or 1.0)


def told_of(known: Sequence[TrialResult], space: SearchSpace, *, max_gap: float | None = None) -> list[Told]:
    """Return what a sampler is told of another study's results: of those in the space that did not fail."""
    return [
        (result.config.parameters(), told_score(result, known[:index]) + excess_gap(result, max_gap))
        for index, result in enumerate(known)
        if result.state is not TrialState.FAILED and space.holds(result.config)
    ]
