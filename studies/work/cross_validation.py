"""Score each trial by its mean over folds of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

from studies.objective import Objective
from studies.space.search_space import SearchSpace
from studies.trainer import Trainer
from studies.training.checkpoint import TrialCheckpoint
from studies.training.ended import EpochDecision, EpochEnded, OnEpoch, Trained
from studies.training.jit_chooser import Choices
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig

LEAST_S = 1e-3  # a limit must be positive


class CrossValidator:
    """Train a trial once on each fold, one after the other, as `Trainer` does on the whole data.

    The result has the score of each fold, whose mean is the trial's score, and the mean of their losses at each epoch
    that all of them reached. A trial ends at the first fold on which it diverges or is pruned. It has no weights, since
    there are as many models as folds. An interrupted trial goes on where it was, in the same fold.

    Args:
        trainers: the trainer of each fold.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers = tuple(trainers)
        self.epochs, self.seed, self.objectives = trainers[0].epochs, trainers[0].seed, trainers[0].objectives
        self.max_trial_s = trainers[0].max_trial_s

    @property
    def objective(self) -> Objective:
        """What trials are ranked by: the first of the objectives."""
        return self.objectives[0]

    def with_seed(self, seed: int) -> CrossValidator:
        """Return the same with another seed in each training; the folds stay."""
        return CrossValidator([trainer.with_seed(seed) for trainer in self.trainers])

    def as_built(self, config: TrialConfig) -> TrialConfig:
        """Return a trial's config without hyperparameters that its model does not ask for; see `Trainer.as_built`."""
        return self.trainers[0].as_built(config)

    def num_parameters(self, config: TrialConfig) -> int:
        """Return how many parameters a trial's model has."""
        return self.trainers[0].num_parameters(config)

    def check_space(self, space: SearchSpace) -> None:
        """Refuse a space that does not fit one of the folds; see `Trainer.check_space`."""
        for trainer in self.trainers:
            trainer.check_space(space)

    def share_choices(self, choices: Choices, space: SearchSpace, num_trials: int) -> None:
        """Take the stored `choices` of a study of `num_trials` trials in `space`, and add to them."""
        for trainer in self.trainers:
            trainer.share_choices(choices, space, num_trials)

    def train(
        self,
        config: TrialConfig,
        *,
        number: int = 0,
        resume: TrialCheckpoint | None = None,
        on_epoch: OnEpoch = lambda ended: None,
    ) -> Trained:
        """Train a trial on each fold; for arguments and errors see `Trainer.train`.

        `on_epoch` gets the scores of the folds that have ended, by which it may prune the trial.
        """
        results = [] if resume is None else list(resume.folds)
        for trainer in self.trainers[len(results) :]:
            if self.max_trial_s is not None:  # all folds together
                trainer.max_trial_s = max(LEAST_S, self.max_trial_s - sum(result.seconds for result in results))
            tell = partial(_tell, on_epoch, tuple(results))
            results.append(trainer.train(config, number=number, resume=resume, on_epoch=tell).result)
            resume = None
            if results[-1].state is not TrialState.COMPLETED:
                break
        mean = _mean(results)
        if mean.state is TrialState.TIMED_OUT:  # what it reached on some folds is no score to compare
            mean = replace(mean, error=mean.error or f"its time was used up on fold {len(results)}")
        return Trained(mean, None)


def _tell(on_epoch: OnEpoch, folds: tuple[TrialResult, ...], ended: EpochEnded) -> EpochDecision | None:
    """Tell what an epoch of a fold showed, with the scores and the results of the folds before."""
    of_fold = ended.checkpoint

    def checkpoint() -> TrialCheckpoint:
        assert of_fold is not None
        return replace(of_fold(), folds=folds)

    return on_epoch(replace(ended, checkpoint=of_fold and checkpoint, fold_scores=_scores(folds)))


def _scores(results: Sequence[TrialResult]) -> tuple[float, ...]:
    completed = (result.score for result in results if result.state is TrialState.COMPLETED)
    return tuple(score for score in completed if score is not None)


def _mean(results: Sequence[TrialResult]) -> TrialResult:
    """Return the result of a trial from those of its folds."""
    last, shortest = results[-1], min(len(result.val_losses) for result in results)

    def mean(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
        return tuple(map(fmean, zip(*(curve[:shortest] for curve in curves), strict=False)))

    return replace(
        last,
        train_losses=mean([result.train_losses for result in results]),
        val_losses=mean([result.val_losses for result in results]),
        metrics={name: mean([result.metrics.get(name, ()) for result in results]) for name in last.metrics},
        num_steps=sum(result.num_steps for result in results),
        seconds=round(sum(result.seconds for result in results), 3),
        fold_scores=_scores(results),
    )
