"""Knows how the best few trials are trained again, on fresh seeds and on folds of the data, and which of them wins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from pipeline.config.tables import StageConfig
from pipeline.config.values import MAX_SEED
from pipeline.console.events import Note, Tell
from pipeline.console.stopping import Stopper
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import CHECKPOINT_EVERY_S, Training, keep_trainings, kept_trainings, read_checkpoint
from pipeline.task.folds import each_fold, fold_names
from pipeline.task.loading import Task
from pipeline.task.preparation import Prepared, make_cache, make_trainer
from studies import EpochEnded, Repeated, Trainer, TrialConfig, TrialResult, TrialState
from studies.analysis.retraining import train_on_all
from studies.ranking import top_of
from studies.study import excess_gap


@dataclass(frozen=True, slots=True)
class Retrained:
    """A trial and its further trainings: on fresh seeds, and on folds.

    It has fewer than `num_folds` trainings on folds where its first ones were clearly worse than another trial's.
    """

    trial: TrialResult
    on_seeds: tuple[Training, ...]
    on_folds: tuple[Training, ...]
    num_folds: int = 0

    @property
    def trainings(self) -> tuple[Training, ...]:
        """All of them."""
        return (*self.on_seeds, *self.on_folds)

    @property
    def judged(self) -> Repeated:
        """What trials are ranked by: folds, which differ by their data too, or else seeds."""
        return _repeated(self.trial, self.on_folds, self.num_folds) if self.on_folds else self._on_seeds

    @property
    def _on_seeds(self) -> Repeated:
        return _repeated(self.trial, self.on_seeds)

    @property
    def mean_score(self) -> float | None:
        """The mean by which trials are ranked; None where a training did not come to its end, or was left out."""
        return self.judged.mean_score

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "number": self.trial.number,
            "score": self.trial.score,
            "mean_score": self.mean_score,
            "spread": self.judged.spread,
            "seeds": _scores(self._on_seeds),
            "folds": _scores(_repeated(self.trial, self.on_folds, self.num_folds)),
        }


def retrain_top(
    config: StageConfig,
    directory: RunDirectory,
    prepared: Prepared,
    trainer: Trainer,
    results: Sequence[TrialResult],
    *,
    tell: Tell,
    stopper: Stopper,
) -> tuple[Retrained, ...]:
    """Train the best few trials again, or what is left of that; the best mean comes first.

    Their first training had a part in choosing them, so that its score is partly luck; these have none.
    """
    top = {trial.config: trial for trial in _top(config, results)}
    again = _Again(directory, top, tell, stopper)
    if top:
        train_on_all(_on_seeds(config, trainer), top, again.train)
        train_on_all(_on_folds(config, prepared, tell), top, again.train, prunes=config.study.prunes)
    return kept_retrained(config, directory, results)


def kept_retrained(
    config: StageConfig, directory: RunDirectory, results: Sequence[TrialResult]
) -> tuple[Retrained, ...]:
    """Return the best few trials with the further trainings that are kept of them, the best mean first."""
    kept = {(training.name, training.result.config): training for training in kept_trainings(directory)}

    def of(trial: TrialResult, names: Sequence[str]) -> tuple[Training, ...]:
        return tuple(kept[name, trial.config] for name in names if (name, trial.config) in kept)

    seeds, folds = list(_seeds(config)), fold_names(config)
    found = [Retrained(trial, of(trial, seeds), of(trial, folds), len(folds)) for trial in _top(config, results)]
    return tuple(sorted(found, key=lambda one: _rank(one, config.study.max_gap)))


def winner_of(
    config: StageConfig, results: Sequence[TrialResult], retrained: Sequence[Retrained]
) -> TrialResult | None:
    """Return the trial that wins: of the best mean, or, where that is asked for or there is none, the best alone."""
    if config.study.rank_by == "mean" and retrained and retrained[0].mean_score is not None:
        return retrained[0].trial
    return next(iter(top_of(results, 1, max_gap=config.study.max_gap)), None)


class _Again:
    """Trains what is not kept yet, until it is told to stop."""

    def __init__(
        self, directory: RunDirectory, trials: Mapping[TrialConfig, TrialResult], tell: Tell, stopper: Stopper
    ) -> None:
        self.directory, self.trials, self.tell, self.stopper = directory, trials, tell, stopper
        self.kept = kept_trainings(directory)

    def train(self, name: str, trainer: Callable[[], Trainer], config: TrialConfig) -> TrialResult:
        """Train the values of a trial in the training of this name, and keep what it showed."""
        for kept in self.kept:
            if (kept.name, kept.result.config) == (name, config):
                return kept.result
        trial = self.trials[config]
        result = self._trained(name, trainer(), trial)
        self.kept.append(Training(name, result))
        keep_trainings(self.directory, self.kept)
        told = result.state.value if result.score is None else f"validation loss {result.score:.4g}"
        self.tell(Note(f"trial {trial.number} again, {name}: {told}"))
        return result

    def _trained(self, name: str, trainer: Trainer, trial: TrialResult) -> TrialResult:
        file = self.directory.checkpoint(f"again-{name.replace(' ', '-')}")
        kept = read_checkpoint(file)
        resume = kept if kept is not None and (kept.config, kept.seed) == (trial.config, trainer.seed) else None
        kept_at = time.monotonic()

        def on_epoch(ended: EpochEnded) -> None:
            nonlocal kept_at
            reason = self.stopper.reason()
            if reason is not None or time.monotonic() - kept_at > CHECKPOINT_EVERY_S:
                ended.checkpoint().save(file)
                kept_at = time.monotonic()
            if reason is not None:
                raise reason

        with self.stopper.deferred():
            self.stopper.check()
            try:
                result = trainer.train(trial.config, number=trial.number, resume=resume, on_epoch=on_epoch).result
            except OSError:  # of the disk, where the checkpoint is written
                raise
            except Exception as error:  # the model is the user's code, which may raise anything
                message = f"{type(error).__name__}: {error}"
                result = TrialResult(trial.number, trial.config, TrialState.FAILED, error=message)
        file.unlink(missing_ok=True)
        return result


def _top(config: StageConfig, results: Sequence[TrialResult]) -> list[TrialResult]:
    return top_of(results, config.study.top_retrained, max_gap=config.study.max_gap)


def _seeds(config: StageConfig) -> dict[str, int]:
    """Return the fresh seeds, which are not the study's, by the name of the training on each."""
    seeds = ((config.study.seed + number) % (MAX_SEED + 1) for number in range(1, config.study.retrain_seeds + 1))
    return {f"seed {seed}": seed for seed in seeds}


def _on_seeds(config: StageConfig, trainer: Trainer) -> Iterator[tuple[str, Callable[[], Trainer]]]:
    for name, seed in _seeds(config).items():
        yield name, partial(trainer.with_seed, seed)


def _on_folds(config: StageConfig, prepared: Prepared, tell: Tell) -> Iterator[tuple[str, Callable[[], Trainer]]]:
    note = cache(lambda text: tell(Note(text)))  # each once, not once on every fold

    def make(task: Task) -> Trainer:
        return make_trainer(config, make_cache(config, task), task, on_note=note)

    for name, train, validation in each_fold(config, prepared.cache.loops):
        yield name, partial(make, replace(prepared.task, train=train, validation=validation))


def _repeated(trial: TrialResult, trainings: Sequence[Training], num_planned: int = 0) -> Repeated:
    return Repeated(trial.config, tuple(training.result for training in trainings), num_planned)


def _rank(one: Retrained, max_gap: float | None) -> tuple[float, float, int]:
    mean = float("inf") if one.mean_score is None else one.mean_score
    return excess_gap(one.trial, max_gap), mean, one.trial.number


def _scores(repeated: Repeated) -> dict[str, Any]:
    return {
        "mean_score": repeated.mean_score,
        "spread": repeated.spread,
        "scores": [result.score if result.state is TrialState.COMPLETED else None for result in repeated.results],
    }
