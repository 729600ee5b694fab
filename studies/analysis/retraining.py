"""Knows how the best trials are confirmed: trained again with fresh seeds, or on other folds of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, TypeVar

from studies.analysis.folds import Fold, Rows
from studies.pruning import is_worse_on_folds
from studies.trainer import Trained, Trainer
from studies.trial import TrialConfig, TrialResult, TrialState

if TYPE_CHECKING:
    from lrrt.loops import Loops

SEEDS = (1, 2, 3)  # beyond the trainer's own

Key = TypeVar("Key")
Train = Callable[[Key, Callable[[], Trainer], TrialConfig], TrialResult]


@dataclass(frozen=True, slots=True)
class Repeated:
    """One config trained several times: on other seeds, or on other folds.

    Attributes:
        config: the values trained with.
        results: one of each training, in the order of the seeds or folds, which is its number.
        num_planned: how many trainings there would have been, had it not been clearly worse than another config.
    """

    config: TrialConfig
    results: tuple[TrialResult, ...]
    num_planned: int = 0

    @property
    def is_pruned(self) -> bool:
        """Whether it was not trained on all folds, because its first ones were clearly worse than another's."""
        return len(self.results) < self.num_planned

    @property
    def scores(self) -> tuple[float, ...]:
        """The scores of the trainings that came to their end."""
        ended = (result for result in self.results if result.state is TrialState.COMPLETED)
        return tuple(result.score for result in ended if result.score is not None)

    @property
    def mean_score(self) -> float | None:
        """The mean of the scores; None where a training did not come to its end, or was left out."""
        has_all = bool(self.scores) and len(self.scores) == len(self.results) and not self.is_pruned
        return fmean(self.scores) if has_all else None

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
            "num_planned": self.num_planned,
            "results": [result.as_dict() for result in self.results],
        }


def retrain(
    trainer: Trainer,
    results: Iterable[TrialResult],
    *,
    top: int = 3,
    seeds: Sequence[int] = SEEDS,
    known: Iterable[TrialResult] = (),
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
        known: results that `on_trained` was told by a process that was killed; they are not trained again.
        on_trained: told of each training; one that raised an error is told as failed.

    Returns:
        The configs with their trainings, the best mean first; those that did not come to an end last.

    Raises:
        ValueError: where nothing would be trained.
    """
    if top < 1 or not seeds:
        raise ValueError(f"`top` must be >= 1 and `seeds` hold one at least, got top={top!r}, seeds={seeds!r}.")
    scored = [result for result in results if result.state is TrialState.COMPLETED and result.score is not None]
    ranked = dict.fromkeys(result.config for result in sorted(scored, key=lambda one: (one.score, one.number)))
    trainings = ((number, partial(trainer.with_seed, seed)) for number, seed in enumerate(seeds))
    return _ranked(train_on_all(trainings, list(ranked)[:top], _unless_known(known, on_trained)))


def cross_validate(
    make_loops: Callable[[Rows, Rows], Loops],
    folds: Iterable[Fold],
    configs: Sequence[TrialConfig],
    *,
    epochs: int,
    seed: int = 0,
    prunes: bool = False,
    known: Iterable[TrialResult] = (),
    on_trained: Callable[[Trained], None] = lambda trained: None,
) -> list[Repeated]:
    """Train configs on every fold of the data, one fold after the other.

    Args:
        make_loops: (indices to train on, indices to validate on) -> the loops of a fold.
        folds: see `make_folds`.
        configs: the values to train with.
        epochs: passes over the training data of a fold.
        seed: of initial weights and the order of the data.
        prunes: whether a config is left after its first folds where it did not come to its end, or was clearly worse
            than the best one; see `studies.pruning.is_worse_on_folds`.
        known: results that `on_trained` was told by a process that was killed; they are not trained again.
        on_trained: told of each training, whose number is its fold's; one that raised an error is told as failed.

    Returns:
        The configs with one training of each fold, the best mean first; those left after their first folds last.
    """

    def make_trainer(fold: Fold) -> Trainer:
        return Trainer(make_loops(*fold), epochs=epochs, seed=seed)

    trainings = ((number, partial(make_trainer, fold)) for number, fold in enumerate(folds))
    return _ranked(train_on_all(trainings, configs, _unless_known(known, on_trained), prunes=prunes))


def train_on_all(
    trainings: Iterable[tuple[Key, Callable[[], Trainer]]],
    configs: Iterable[TrialConfig],
    train: Train[Key],
    *,
    prunes: bool = False,
) -> list[Repeated]:
    """Train every config in one training, then every one in the next; what a trainer holds is let go of in between.

    Args:
        trainings: what tells each from the others, and what makes its trainer, once and where it is asked for.
        configs: the values to train with.
        train: (what tells a training, what gives its trainer, a config) -> what the config showed in it.
        prunes: whether a config is left out of the rest where it did not come to its end, or was clearly worse than the
            best one so far; see `studies.pruning.is_worse_on_folds`.

    Returns:
        The configs, in their order, with their trainings.
    """
    shown: dict[TrialConfig, list[TrialResult]] = {config: [] for config in configs}
    num_trainings = 0

    def repeated() -> list[Repeated]:
        return [Repeated(config, tuple(results), num_trainings) for config, results in shown.items()]

    for key, make_trainer in trainings:
        best = next((one.scores for one in _ranked(repeated()) if one.mean_score is not None), ())
        trainer = cache(make_trainer)
        for one in repeated():
            if not (prunes and _is_left(one.scores, best)):
                shown[one.config].append(train(key, trainer, one.config))
        num_trainings += 1
    return repeated()


def _is_left(scores: Sequence[float], best: Sequence[float]) -> bool:
    return len(scores) < len(best) or is_worse_on_folds(scores, best)


def _unless_known(known: Iterable[TrialResult], on_trained: Callable[[Trained], None]) -> Train[int]:
    """Return what trains a config in the training of a number, where the result is not known."""
    kept = {(result.config, result.number): result for result in known}

    def train(number: int, trainer: Callable[[], Trainer], config: TrialConfig) -> TrialResult:
        if (config, number) in kept:
            return kept[config, number]
        try:
            trained = trainer().train(config, number=number)
        except Exception as error:  # the model is the user's code, which may raise anything
            message = f"{type(error).__name__}: {error}"
            trained = Trained(TrialResult(number, config, TrialState.FAILED, error=message), None)
        on_trained(trained)
        return trained.result

    return train


def _ranked(repeated: Iterable[Repeated]) -> list[Repeated]:
    return sorted(repeated, key=lambda one: float("inf") if one.mean_score is None else one.mean_score)
