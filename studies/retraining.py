"""Knows how the best trials are confirmed: trained again with fresh seeds, or on other folds of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from studies.trainer import Trained, Trainer
from studies.trial import TrialConfig, TrialResult, TrialState

if TYPE_CHECKING:
    from lrrt.loops import Loops

SEEDS = (1, 2, 3)  # beyond the trainer's own

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, slots=True)
class Repeated:
    """One config trained several times: on other seeds, or on other folds.

    Attributes:
        config: the values trained with.
        results: one of each training, in the order of the seeds or folds.
    """

    config: TrialConfig
    results: tuple[TrialResult, ...]

    @property
    def scores(self) -> tuple[float, ...]:
        """The scores of the trainings that came to their end."""
        ended = (result for result in self.results if result.state is TrialState.COMPLETED)
        return tuple(result.score for result in ended if result.score is not None)

    @property
    def mean_score(self) -> float | None:
        """The mean of the scores; None where a training did not come to its end."""
        return fmean(self.scores) if self.scores and len(self.scores) == len(self.results) else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the scores; None where there are fewer than two."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "parameters": self.config.parameters(),
            "mean_score": self.mean_score,
            "spread": self.spread,
            "results": [result.as_dict() for result in self.results],
        }


def retrain(
    trainer: Trainer,
    results: Iterable[TrialResult],
    *,
    top: int = 3,
    seeds: Sequence[int] = SEEDS,
    on_trained: Callable[[Trained], None] = lambda trained: None,
) -> list[Repeated]:
    """Train the best few configs again, each with fresh initial weights and order of the data.

    The best of many trials is partly luck: of its seed, and of having been chosen for its score. Means over seeds that
    had no part in the choice are free of both.

    Args:
        trainer: the study's; its own seed is not used.
        results: of a study.
        top: how many configs, the best first.
        seeds: of the trainings of each config.
        on_trained: told of each training.

    Returns:
        The configs with their trainings, the best mean first; those that did not come to an end last.

    Raises:
        ValueError: where nothing would be trained.
    """
    if top < 1 or not seeds:
        raise ValueError(f"`top` must be >= 1 and `seeds` hold one at least, got top={top!r}, seeds={seeds!r}.")
    scored = [result for result in results if result.state is TrialState.COMPLETED and result.score is not None]
    ranked = dict.fromkeys(result.config for result in sorted(scored, key=lambda one: (one.score, one.number)))
    trainers = [trainer.with_seed(seed) for seed in seeds]
    return _ranked(_repeated(config, trainers, on_trained) for config in list(ranked)[:top])


def cross_validate(
    make_loops: Callable[[NDArray[np.intp], NDArray[np.intp]], Loops],
    folds: Iterable[Fold],
    configs: Sequence[TrialConfig],
    *,
    epochs: int,
    seed: int = 0,
    on_trained: Callable[[Trained], None] = lambda trained: None,
) -> list[Repeated]:
    """Train configs on every fold of the data.

    Args:
        make_loops: (indices to train on, indices to validate on) -> the loops of a fold.
        folds: see `make_folds`.
        configs: the values to train with.
        epochs: passes over the training data of a fold.
        seed: of initial weights and the order of the data.
        on_trained: told of each training.

    Returns:
        The configs with one training of each fold, the best mean first.
    """
    trainers = [Trainer(make_loops(*fold), epochs=epochs, seed=seed) for fold in folds]
    return _ranked(_repeated(config, trainers, on_trained) for config in configs)


def make_folds(num_samples: int, *, num_folds: int = 5, labels: Any = None, seed: int = 0) -> Iterator[Fold]:
    """Return (indices to train on, indices to validate on) of each fold, shuffled; each sample is validated on once.

    Args:
        num_samples: in the data.
        num_folds: how many.
        labels: the class of each sample, whose shares each fold keeps; None for folds that ignore classes.
        seed: of the shuffling.

    Raises:
        ValueError: for fewer than two folds, or more than there are samples, or than a class has members.

    >>> [(len(train), len(validation)) for train, validation in make_folds(10, num_folds=5)]
    [(8, 2), (8, 2), (8, 2), (8, 2), (8, 2)]
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    if not 2 <= num_folds <= num_samples:
        raise ValueError(f"`2 <= num_folds <= num_samples` must hold, got {num_folds!r} folds of {num_samples!r}.")
    placeholder = np.zeros(num_samples)
    if labels is None:
        yield from KFold(num_folds, shuffle=True, random_state=seed).split(placeholder)
        return
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    if counts.min() < num_folds:
        raise ValueError(
            f"Each class must have a sample in each of {num_folds} folds, got {counts.min()} of class "
            f"{classes[counts.argmin()]}. Take fewer folds, or folds without labels."
        )
    yield from StratifiedKFold(num_folds, shuffle=True, random_state=seed).split(placeholder, np.asarray(labels))


def _repeated(config: TrialConfig, trainers: Sequence[Trainer], on_trained: Callable[[Trained], None]) -> Repeated:
    results = []
    for number, trainer in enumerate(trainers):
        trained = trainer.train(config, number=number)
        on_trained(trained)
        results.append(trained.result)
    return Repeated(config, tuple(results))


def _ranked(repeated: Iterable[Repeated]) -> list[Repeated]:
    return sorted(repeated, key=lambda one: float("inf") if one.mean_score is None else one.mean_score)
