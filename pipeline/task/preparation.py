"""Knows how a task is loaded and checked before anything trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lrrt import Loops
from pipeline.config.tables import StageConfig
from pipeline.console.stopping import Stopper
from pipeline.failures import ConfigError, TaskError
from pipeline.task.fingerprints import TaskPrint, print_of
from pipeline.task.folds import all_rows, folds_of
from pipeline.task.loading import Task, load_task
from pipeline.task.tensorflow import import_keras, use_all_devices
from studies import LoopCache, Trainer, own_dimensions
from studies.schedules.schedule import check_all_fit
from studies.trial import is_reserved


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task that was loaded and checked.

    Attributes:
        task: model builder and data.
        cache: the loops of the trials.
        tested: those of the range tests; others where these watch more than the training loss, which would cost the
            trials time.
        known_by: what tells the task from others.
    """

    task: Task
    cache: LoopCache
    tested: Loops
    known_by: TaskPrint


def prepare(config: StageConfig, stopper: Stopper | None = None) -> Prepared:
    """Import the task, load its data, build its model: whatever is wrong with them shows here, before any training.

    From then on this process trains on all devices that it sees.

    Args:
        config: what names them.
        stopper: may stop it once Keras is imported.

    Raises:
        TaskError: where data or model break their contract.
        ConfigError: where the data has too few batches for what the config asks.
    """
    stopper = stopper or Stopper()
    with stopper.deferred():  # Keras takes what is raised amid its imports for a library that is missing
        import_keras()
    stopper.check()
    use_all_devices()
    wanted = config.task
    task = load_task(
        wanted.build_model,
        wanted.load_data,
        wanted.callbacks,
        seed=config.study.seed,
        validation_fraction=config.study.validation_fraction,
    )
    try:
        loops = _make_loops(config, task)
        watched = config.range_test.monitor, config.range_test.monitor_mode
        tested = loops if watched[0] == "loss" else loops.like(monitor=watched[0], monitor_mode=watched[1])
        loops.check_batch_sizes(config.study.batch_sizes)
        lengths = {size: loops.num_batches(size) for size in config.study.batch_sizes}
        own = own_dimensions(task.build_model)
    except Exception as error:  # building the model runs the user's code, which may raise anything
        raise TaskError(f"{type(error).__name__}: {error}") from error
    taken = [dimension.name for dimension in own if is_reserved(dimension.name)]
    if taken:
        raise TaskError(
            f"Hyperparameters of {wanted.build_model} must have other names than lrrt's own, got {taken[0]!r}."
        )
    _check_lengths(config, lengths)
    if config.study.folds:
        folds_of(config, all_rows(loops))  # refuses what cannot be cut into them
    return Prepared(task, make_cache(config, task, loops), tested, print_of(config, loops, own))


def make_cache(config: StageConfig, task: Task, loops: Loops | None = None) -> LoopCache:
    """Make the loops that trials of a task need, those of its default model where there are some already."""
    return LoopCache(loops or _make_loops(config, task))


def make_trainer(config: StageConfig, cache: LoopCache, task: Task, *, on_note: Callable[[str], None]) -> Trainer:
    """Make the trainer of a stage's trials.

    Args:
        config: how long and on which seed they are trained.
        cache: their loops.
        task: whose callbacks they have.
        on_note: told what a user should know of how they are trained.

    Raises:
        TaskError: where the task's callbacks or its validation data cannot be used.
    """
    wanted = config.study
    try:
        return Trainer(
            cache,
            epochs=wanted.epochs,
            seed=wanted.seed,
            patience=wanted.patience,
            callbacks=task.callbacks,
            on_note=on_note,
        )
    except (TypeError, ValueError) as error:
        raise TaskError(str(error)) from error


def _make_loops(config: StageConfig, task: Task) -> Loops:
    return Loops(
        task.build_model,
        task.train,
        optimizers=config.range_test.optimizers,
        batch_size=config.range_test_batch_size,
        validation_data=task.validation,
    )


def _check_lengths(config: StageConfig, lengths: Mapping[int, int]) -> None:
    """Refuse trials with too few steps for a schedule that may be proposed, such as for the one of most cycles."""
    wanted = config.study
    for batch_size, num_batches in lengths.items():
        num_steps = wanted.epochs * num_batches
        try:
            check_all_fit(wanted.schedules, num_steps, searches_warmup=wanted.searches_warmup)
        except ValueError as error:
            raise ConfigError(
                f"[study] epochs must be enough for every schedule that may be proposed, but {wanted.epochs} of "
                f"them in batches of {batch_size} are {num_steps} steps. {error}"
            ) from None
