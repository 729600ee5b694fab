"""Knows how the study of a stage is opened, run, interrupted and continued."""

from __future__ import annotations

import time

from lrrt import RangeTestResult, Verdict
from pipeline.config import StageConfig
from pipeline.events import EpochDone, Note, StudyStarted, Tell, TrialDone
from pipeline.progress import drop_checkpoint, keep_checkpoint, keep_weights, kept_checkpoint
from pipeline.run_directory import RunDirectory
from pipeline.stopping import Stopper
from studies import (
    EpochEnded,
    KerasTunerStudy,
    OptunaStudy,
    SearchSpace,
    Trained,
    Trainer,
    TrialCheckpoint,
    TrialResult,
    best_of,
)

AnyStudy = OptunaStudy | KerasTunerStudy
CHECKPOINT_EVERY_S = 60.0  # what a killed process may lose of a long trial; writing it takes a fraction of a second


class NoUsableRange(Exception):
    """No optimizer has a learning rate worth searching."""


def open_study(config: StageConfig, directory: RunDirectory, range_test: RangeTestResult) -> AnyStudy:
    """Open the study inside the bounds that were found, with what it holds of earlier runs.

    Raises:
        NoUsableRange: where every optimizer's loss is not finite from the first step.
        ForeignStudy: where the kept study has another space.
    """
    if all(found.verdict is Verdict.NON_FINITE for found in range_test.bounds.values()):
        raise NoUsableRange(reasons(range_test))
    wanted = config.study
    space = SearchSpace.from_bounds(
        range_test.bounds,
        schedules=wanted.schedules,
        batch_sizes=wanted.batch_sizes,
        fallback_range=wanted.fallback_range,
    )
    if wanted.engine == "keras_tuner":
        from pipeline.quiet_keras import import_keras

        import_keras()
        folder = directory.state / "keras_tuner"
        return KerasTunerStudy(space, directory=folder, sampler=wanted.sampler, seed=wanted.seed)
    storage = wanted.storage or f"sqlite:///{directory.database.resolve()}"
    return OptunaStudy(space, storage=storage, sampler=wanted.sampler, seed=wanted.seed)


def search(
    config: StageConfig, directory: RunDirectory, study: AnyStudy, trainer: Trainer, *, tell: Tell, stopper: Stopper
) -> list[TrialResult]:
    """Run the study to its last trial, or until the stopper stops it at the end of an epoch; return all trials."""
    results = list(study.results())
    num_trials = config.study.num_trials
    tell(StudyStarted(config.study.engine, num_trials, len(results)))
    for found in study.space.optimizers:
        if found.is_fallback:
            tell(Note(f"{found.name}: no bounds, so the fallback range {found.low:g} to {found.high:g} is searched"))
    kept_at = time.monotonic()

    def on_trial(trained: Trained) -> None:
        best = best_of(results)
        keep_weights(directory, trained, best)
        drop_checkpoint(directory, trained.result.number)
        results.append(trained.result)
        tell(_trial_done(trained.result, best_of(results), len(results), num_trials))

    def on_epoch(ended: EpochEnded) -> None:
        nonlocal kept_at
        tell(EpochDone(ended.number, ended.epoch, ended.epochs, ended.train_losses[-1], ended.val_losses[-1]))
        reason = stopper.reason()
        if reason is not None or time.monotonic() - kept_at > CHECKPOINT_EVERY_S:
            keep_checkpoint(directory, ended.checkpoint())
            kept_at = time.monotonic()
        if reason is not None:
            raise reason

    def resume(number: int) -> TrialCheckpoint | None:
        checkpoint = kept_checkpoint(directory, number)
        if checkpoint is not None:
            tell(Note(f"trial {number} goes on after epoch {checkpoint.epoch} of {checkpoint.epochs}"))
        return checkpoint

    with stopper.deferred():
        stopper.check()
        return list(
            study.run(
                trainer,
                num_trials=num_trials,
                on_trial=on_trial,
                on_epoch=on_epoch,
                resume=resume,
                on_wait=stopper.check,
            )
        )


def reasons(range_test: RangeTestResult) -> str:
    """Return why no optimizer has bounds, as a sentence each."""
    told = "; ".join(f"{label}: {found.reason}" for label, found in range_test.bounds.items())
    return f"No optimizer has a learning rate worth searching. {told}."


def _trial_done(result: TrialResult, best: TrialResult | None, num_done: int, num_trials: int) -> TrialDone:
    return TrialDone(
        number=result.number,
        num_done=num_done,
        num_trials=num_trials,
        state=result.state.name.lower(),
        score=result.score,
        best_score=None if best is None else best.score,
        optimizer=result.config.optimizer_name,
        schedule=result.config.schedule,
        lr=result.config.lr,
        epochs=len(result.train_losses),
        seconds=result.seconds,
    )
