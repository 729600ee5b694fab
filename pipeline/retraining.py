"""Knows how the best few trials are trained again, on fresh seeds and on folds of the data, and which of them wins."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import fmean
from typing import Any

from pipeline.config import StageConfig
from pipeline.events import Note, Tell
from pipeline.folds import each_fold, fold_names
from pipeline.laws import MAX_SEED
from pipeline.preparation import Prepared, make_cache, make_trainer
from pipeline.progress import CHECKPOINT_EVERY_S, Training, keep_trainings, kept_trainings, read_checkpoint
from pipeline.ranking import top_of
from pipeline.run_directory import RunDirectory
from pipeline.stopping import Stopper
from studies import EpochEnded, Repeated, Trainer, TrialConfig, TrialResult, TrialState
from studies.pruning import is_worse_on_folds
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
    again = _Again(directory, kept_trainings(directory), tell, stopper)
    top = _top(config, results)
    for name, other in chain(_on_seeds(config, trainer), _on_folds(config, prepared, tell)) if top else ():
        for trial in top:
            if not (config.study.prunes and _is_left_out(trial, name, fold_names(config), again.kept)):
                again.train(name, other, trial)
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
    """Trains what is not kept yet."""

    def __init__(self, directory: RunDirectory, kept: list[Training], tell: Tell, stopper: Stopper) -> None:
        self.directory, self.kept, self.tell, self.stopper = directory, kept, tell, stopper

    def train(self, name: str, trainer: Trainer, trial: TrialResult) -> None:
        """Train a trial's values in the training of this name, and keep that."""
        if any((kept.name, kept.result.config) == (name, trial.config) for kept in self.kept):
            return
        training = Training(name, self._trained(name, trainer, trial))
        self.kept.append(training)
        keep_trainings(self.directory, self.kept)
        score = training.result.score
        told = training.result.state.value if score is None else f"validation loss {score:.4g}"
        self.tell(Note(f"trial {trial.number} again, {name}: {told}"))

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


def _on_seeds(config: StageConfig, trainer: Trainer) -> Iterator[tuple[str, Trainer]]:
    for name, seed in _seeds(config).items():
        yield name, trainer.with_seed(seed)


def _on_folds(config: StageConfig, prepared: Prepared, tell: Tell) -> Iterator[tuple[str, Trainer]]:
    for name, train, validation in each_fold(config, prepared.cache.loops):
        task = replace(prepared.task, train=train, validation=validation)
        yield name, make_trainer(config, make_cache(config, task), task, on_note=lambda text: tell(Note(text)))


def _is_left_out(trial: TrialResult, name: str, folds: Sequence[str], kept: Sequence[Training]) -> bool:
    """Say whether a trial needs no training on a fold, because on those before it was clearly worse than another."""
    before = folds[: folds.index(name)] if name in folds else []
    shown: dict[TrialConfig, list[float]] = {}
    for training in kept:
        if training.name in before and training.result.score is not None:
            shown.setdefault(training.result.config, []).append(training.result.score)
    whole = [scores for scores in shown.values() if len(scores) == len(before)]
    scores = shown.get(trial.config, [])
    if not whole or len(scores) < len(before):
        return bool(whole)  # it left out a fold before, or did not come to its end on one
    return is_worse_on_folds(scores, min(whole, key=fmean))


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
