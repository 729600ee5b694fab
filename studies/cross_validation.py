"""Score each trial by its mean over folds of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

from studies.space.search_space import SearchSpace
from studies.trainer import EpochDecision, EpochEnded, OnEpoch, Trained, Trainer
from studies.training.checkpoint import TrialCheckpoint
from studies.trial import TrialConfig, TrialResult, TrialState


class CrossValidator:
    """Train a trial once on each fold, one after the other, as `Trainer` does on the whole data.

    The result has the score of each fold, whose mean is the trial's score, and the mean of their losses at each epoch
    that all of them reached. A trial ends at the first fold on which it diverges or is pruned. It has no weights, since
    there are as many models as folds, and an interrupted trial begins again.

    Args:
        trainers: the trainer of each fold.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers = tuple(trainers)
        self.epochs, self.seed = trainers[0].epochs, trainers[0].seed

    def with_seed(self, seed: int) -> CrossValidator:
        """Return the same with another seed in each training; the folds stay."""
        return CrossValidator([trainer.with_seed(seed) for trainer in self.trainers])

    def check_space(self, space: SearchSpace) -> None:
        """Refuse a space that does not fit one of the folds; see `Trainer.check_space`."""
        for trainer in self.trainers:
            trainer.check_space(space)

    def train(
        self,
        config: TrialConfig,
        *,
        number: int = 0,
        resume: TrialCheckpoint | None = None,
        on_epoch: OnEpoch = lambda ended: None,
    ) -> Trained:
        """Train a trial on each fold; for arguments and errors see `Trainer.train`.

        `on_epoch` is told the scores of the folds that have ended, by which it may prune the trial.
        """
        results: list[TrialResult] = []
        for trainer in self.trainers:
            tell = partial(_tell, on_epoch, _scores(results))
            results.append(trainer.train(config, number=number, on_epoch=tell).result)
            if results[-1].state is not TrialState.COMPLETED:
                break
        return Trained(_mean(results), None)


def _tell(on_epoch: OnEpoch, fold_scores: tuple[float, ...], ended: EpochEnded) -> EpochDecision | None:
    return on_epoch(replace(ended, checkpoint=None, fold_scores=fold_scores))


def _scores(results: Sequence[TrialResult]) -> tuple[float, ...]:
    completed = (result.score for result in results if result.state is TrialState.COMPLETED)
    return tuple(score for score in completed if score is not None)


def _mean(results: Sequence[TrialResult]) -> TrialResult:
    """Return the result of a trial from those of its folds."""
    last, shortest = results[-1], min(len(result.val_losses) for result in results)
    by_epoch = [[result.train_losses[:shortest], result.val_losses[:shortest]] for result in results]
    train_losses, val_losses = (tuple(map(fmean, zip(*losses, strict=True))) for losses in zip(*by_epoch, strict=True))
    return replace(
        last,
        train_losses=train_losses,
        val_losses=val_losses,
        num_steps=sum(result.num_steps for result in results),
        seconds=round(sum(result.seconds for result in results), 3),
        fold_scores=_scores(results),
    )
