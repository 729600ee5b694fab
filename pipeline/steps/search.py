"""Knows how the study of a stage is opened, run, interrupted and continued."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lrrt import RangeTestResult, Verdict
from pipeline.config.tables import StageConfig
from pipeline.console.events import EpochDone, Note, StudyStarted, Tell, TrialDone
from pipeline.console.stopping import Stopper
from pipeline.state.ownership import ForeignRun, differences
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import CHECKPOINT_EVERY_S, drop_checkpoint, keep_checkpoint, keep_weights, kept_checkpoint
from pipeline.workers.local import LocalWorkers
from studies import (
    Dimension,
    EpochEnded,
    KerasTunerStudy,
    OptunaStudy,
    SearchSpace,
    TensorBoardLog,
    Trained,
    Trainer,
    TrialCheckpoint,
    TrialResult,
    Worker,
    best_of,
    shared_keras_tuner_study,
)

AnyStudy = OptunaStudy | KerasTunerStudy
NAME = "lrrt"  # of the study; those in wider bounds have names of their own
FINGERPRINT = "fingerprint"  # the attribute of a study that holds what defines it


class NoUsableRange(Exception):
    """No optimizer has a learning rate worth searching."""


def space_of(config: StageConfig, range_test: RangeTestResult, own: Sequence[Dimension]) -> SearchSpace:
    """Return what is searched: rates inside the bounds that were found.

    Args:
        config: what else is searched.
        range_test: the bounds.
        own: the hyperparameters of the user's model.

    Raises:
        NoUsableRange: where every optimizer's loss is not finite from the first step.
    """
    if all(found.verdict is Verdict.NON_FINITE for found in range_test.bounds.values()):
        raise NoUsableRange(reasons(range_test))
    wanted = config.study
    options: dict[str, Any] = {
        "schedules": wanted.schedules,
        "batch_sizes": wanted.batch_sizes,
        "fallback_range": wanted.fallback_range,
        "searches_warmup": wanted.searches_warmup,
        "weight_decay": wanted.weight_decay,
        "momentum": wanted.momentum,
        "own": own,
    }
    if all(range_test.curves.values()):
        return SearchSpace.from_result(range_test, **options)
    return SearchSpace.from_bounds(range_test.bounds, cases=range_test.cases, **options)  # bounds that were given


def open_study(
    config: StageConfig,
    directory: RunDirectory,
    space: SearchSpace,
    *,
    fields: Mapping[str, Any] | None = None,
    name: str = NAME,
    known: Sequence[TrialResult] = (),
    creates: bool = True,
    worker: Worker | None = None,
) -> AnyStudy:
    """Open a study with what it holds of earlier runs.

    KerasTuner's studies are kept in its own folder, where one process works on them; where others may, its oracles
    propose in a study that is kept and shared as Optuna's are.

    Args:
        config: how it is searched.
        directory: where the study is kept.
        space: what is searched.
        fields: what defines the study, kept in it too, because a storage may be shared; None asks for no check.
        name: the study's.
        known: results of a study in narrower bounds.
        creates: whether a study that is not there is made.
        worker: this process, where it is not named by its batch scheduler or by host and pid.

    Raises:
        NoSuchStudy: where there is none, and none must be made.
        ForeignStudy: where the kept study has another space.
        ForeignRun: where it is defined otherwise.
    """
    wanted = config.study
    judged: dict[str, Any] = {"seed": wanted.seed, "prunes": wanted.prunes, "max_gap": wanted.max_gap}
    open_shared: Callable[..., OptunaStudy] = OptunaStudy
    if wanted.engine == "keras_tuner":
        from pipeline.task.tensorflow import import_keras

        import_keras()
        if not (wanted.storage or directory.database.exists()):
            folder = directory.state / "keras_tuner"
            return KerasTunerStudy(space, directory=folder, name=name, sampler=wanted.sampler, known=known, **judged)
        open_shared = shared_keras_tuner_study
    study = open_shared(
        space,
        storage=storage_of(config, directory),
        name=name,
        sampler=wanted.sampler,
        known=known,
        attributes=None if fields is None else {FINGERPRINT: fields},
        worker=worker,
        creates=creates,
        grace_s=wanted.grace_s,
        **judged,
    )
    told = [] if fields is None else differences(study.study.user_attrs.get(FINGERPRINT, fields), fields)
    if told:
        raise ForeignRun("\n".join([f"The study {name!r} in the storage is defined otherwise:", *told]))
    return study


def storage_of(config: StageConfig, directory: RunDirectory) -> str:
    """Return the URL of the storage that processes share; it may hold a password."""
    from sqlalchemy import URL

    if config.study.storage:
        return config.study.storage
    # A folder's name may hold what means something in a URL; a space, which SQLAlchemy leaves, is refused in a config.
    url = URL.create("sqlite", database=str(directory.database.resolve())).render_as_string()
    return url.replace(" ", "%20")


def search(
    config: StageConfig,
    directory: RunDirectory,
    study: AnyStudy,
    trainer: Trainer,
    *,
    earlier: Sequence[TrialResult] = (),
    num_trials: int,
    joins: bool = False,
    first: int | None = None,
    helpers: LocalWorkers | None = None,
    tell: Tell,
    stopper: Stopper,
) -> None:
    """Run the study to its last trial, or until the stopper stops it at the end of an epoch.

    Args:
        config: how it is searched.
        directory: where checkpoints and the best weights are kept.
        study: what proposes the trials.
        trainer: trains them.
        earlier: the trials of the studies in narrower bounds; the study's own are numbered after them.
        num_trials: the earlier ones included.
        joins: whether others run the study, so that this process trains what waits and ends then.
        first: the number of the study's first trial; None where it comes after the earlier ones.
        helpers: processes that train the trials in this one's place; what they leave, this one trains.
        tell: told what happens.
        stopper: may stop the run before its end.
    """
    first = len(earlier) if first is None else first
    results = [*earlier, *(numbered(result, first) for result in study.results())]
    num_kept, max_gap = max(1, config.study.top_retrained), config.study.max_gap
    tell(StudyStarted(config.study.engine, num_trials, len(results)))
    for found in study.space.optimizers:
        if found.is_fallback:
            tell(Note(f"{found.name}: no bounds, so the fallback range {found.low:g} to {found.high:g} is searched"))
    kept_at = time.monotonic()
    log = TensorBoardLog(directory.tensorboard) if config.study.tensorboard else None

    def on_trial(trained: Trained) -> None:
        result = numbered(trained.result, first)
        if log is not None:
            log(replace(trained, result=result))
        if joins:
            results[:] = [*earlier, *(numbered(other, first) for other in study.results())]
        keep_weights(directory, replace(trained, result=result), results, num_kept, max_gap=max_gap)
        drop_checkpoint(directory, trained.result.number)
        results.append(result)
        tell(_trial_done(result, best_of(results, max_gap=max_gap), len(results), num_trials))

    def on_result(result: TrialResult) -> None:
        results.append(numbered(result, first))
        tell(_trial_done(results[-1], best_of(results, max_gap=max_gap), len(results), num_trials))

    def on_epoch(ended: EpochEnded) -> None:
        nonlocal kept_at
        tell(EpochDone(first + ended.number, ended.epoch, ended.epochs, ended.train_losses[-1], ended.val_losses[-1]))
        reason = stopper.reason()
        if reason is not None or time.monotonic() - kept_at > CHECKPOINT_EVERY_S:
            keep_checkpoint(directory, ended.checkpoint())
            kept_at = time.monotonic()
        if reason is not None:
            raise reason

    def resume(number: int) -> TrialCheckpoint | None:
        checkpoint = kept_checkpoint(directory, number)
        if checkpoint is not None:
            tell(Note(f"trial {first + number} goes on after epoch {checkpoint.epoch} of {checkpoint.epochs}"))
        return checkpoint

    hooks: dict[str, Any] = {
        "on_trial": on_trial,
        "on_epoch": on_epoch,
        "resume": resume,
        "on_wait": stopper.check,
    }
    with stopper.deferred():
        stopper.check()
        if joins and isinstance(study, OptunaStudy):
            study.work(trainer, **hooks)
            return
        if helpers is not None and isinstance(study, OptunaStudy):
            study.add_slots(num_trials - first)
            storage = storage_of(config, directory)
            helpers.help(
                study, storage, config, directory, first=first, on_result=on_result, tell=tell, stopper=stopper
            )
        study.run(trainer, num_trials=num_trials - first, **hooks)


def numbered(result: TrialResult, first: int) -> TrialResult:
    """Return a trial with a number that counts from `first`."""
    return replace(result, number=first + result.number)


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
