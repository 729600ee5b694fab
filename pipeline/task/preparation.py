"""Load and check a task before any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lrrt import Loops
from pipeline.config.tables import StageConfig
from pipeline.console.stopping import Stopper
from pipeline.failures import ConfigError, TaskError
from pipeline.task.data_use import DataUse, use_of
from pipeline.task.fingerprints import TaskPrint, print_of
from pipeline.task.first_configs import check_first
from pipeline.task.folds import Folds, joined
from pipeline.task.labels import balanced_weights, class_numbers
from pipeline.task.loading import Task, load_task
from pipeline.task.tensorflow import import_keras, use_all_devices
from studies import CrossValidator, LoopCache, Trainer, own_dimensions
from studies.schedules.schedule import check_all_fit
from studies.trial import is_reserved

Scorer = Trainer | CrossValidator


@dataclass(frozen=True, slots=True)
class Prepared:
    """A loaded and checked task.

    Attributes:
        task: model builder and data.
        cache: the loops of the trials.
        tested: the loops of the range tests. They are others if range tests monitor more than the training loss, since
            that would make trials slower.
        known_by: the print that distinguishes the task from others.
        data_use: how the data is split and used.
    """

    task: Task
    cache: LoopCache
    tested: Loops
    known_by: TaskPrint
    data_use: DataUse


def prepare(config: StageConfig, stopper: Stopper | None = None) -> Prepared:
    """Import the task, load its data and build its model, so that their mistakes appear before any training.

    From then on this process trains on all devices that it sees.

    Args:
        config: names the task's functions; the study's seed, batch sizes, epochs, schedules and folds are checked
            against the data.
        stopper: is asked after the import of Keras whether to stop; None never stops.

    Returns:
        The task, the loops of its trials and of its range tests, and its print.

    Raises:
        TaskError: if data or model break their contract.
        ConfigError: if the data has too few batches for the schedules of the config.
        KeyboardInterrupt: the stopper's reason, if there is one.
    """
    stopper = stopper or Stopper()
    with stopper.deferred():  # an exception amid its imports looks to Keras like a missing library
        import_keras()
    stopper.check()
    use_all_devices()
    names = config.task
    task = load_task(
        names.build_model,
        names.load_data,
        names.callbacks,
        seed=config.study.seed,
        split=names.split,
        validation_fraction=config.study.validation_fraction,
    )
    try:
        loops = _make_loops(config, task)
        watched = config.range_test.monitor, config.range_test.monitor_mode
        tested = loops if watched[0] == "loss" else loops.like(monitor=watched[0], monitor_mode=watched[1])
        loops.check_batch_sizes(config.study.batch_sizes)
        lengths = {size: loops.num_batches(size) for size in config.study.batch_sizes}
        dimensions = own_dimensions(task.build_model)
    except Exception as error:  # building the model runs the user's code, which may raise anything
        raise TaskError(f"{type(error).__name__}: {error}") from error
    taken = [dimension.name for dimension in dimensions if is_reserved(dimension.name)]
    if taken:
        raise TaskError(
            f"Hyperparameters of {names.build_model} must have other names than lrrt's own, got {taken[0]!r}."
        )
    check_first(config, dimensions)
    _check_lengths(config, lengths)
    folds = None
    for number in filter(None, (config.study.folds, config.study.score_folds)):
        folds = Folds(config, task, number)
        _check_lengths(config, {size: math.ceil(folds.fewest_rows / size) for size in config.study.batch_sizes})
    if config.study.refit:
        joined(task)  # refuses now what could not be done after the study
    cache, known_by = make_cache(config, task, loops), print_of(config, loops, dimensions)
    return Prepared(task, cache, tested, known_by, use_of(config, task, folds, class_weights(config, task)))


def make_cache(config: StageConfig, task: Task, loops: Loops | None = None) -> LoopCache:
    """Make the loops for the trials of a task; `loops` are those of its default model, if they exist already."""
    return LoopCache(loops or _make_loops(config, task))


def make_trainer(config: StageConfig, cache: LoopCache, task: Task, *, on_note: Callable[[str], None]) -> Trainer:
    """Make the trainer of a stage's trials.

    Args:
        config: has the epochs, the seed and the patience.
        cache: the loops of the trials.
        task: has the callbacks.
        on_note: called with a sentence for the user about how trials are trained.

    Raises:
        TaskError: if the task's callbacks or its validation data cannot be used.
    """
    study = config.study
    try:
        return Trainer(
            cache,
            epochs=study.epochs,
            seed=study.seed,
            patience=study.patience,
            callbacks=task.callbacks,
            on_note=on_note,
        )
    except (TypeError, ValueError) as error:
        raise TaskError(str(error)) from error


def make_scorer(config: StageConfig, task: Task, trainer: Trainer, *, on_note: Callable[[str], None]) -> Scorer:
    """Return what scores the trials of a stage: its trainer, or one that trains each trial on folds.

    Args:
        config: says on how many folds; their data, and their compiled loops, stay in memory.
        task: has the data.
        trainer: the trainer of the whole data.
        on_note: called with a sentence for the user about how trials are trained.
    """
    if not config.study.score_folds:
        return trainer
    folds = Folds(config, task, config.study.score_folds)
    tasks = [folds[index] for index in range(config.study.score_folds)]
    return CrossValidator([make_trainer(config, make_cache(config, one), one, on_note=on_note) for one in tasks])


def class_weights(config: StageConfig, task: Task) -> Mapping[int, float] | None:
    """Return the weight of each class in training; None if classes are not weighted.

    Raises:
        TaskError: if they are to be balanced, but the labels are no classes.
    """
    wanted = config.task.class_weight
    if not isinstance(wanted, str):
        return wanted
    classes = class_numbers(task.train) if isinstance(task.train, tuple | list) else None
    if classes is None:
        raise TaskError(
            'class_weight = "balanced" must come with labels in an array that are one class a row, got others. Give a '
            "table of class to weight, or data with sample weights."
        )
    return balanced_weights(classes)


def _make_loops(config: StageConfig, task: Task) -> Loops:
    return Loops(
        task.build_model,
        task.train,
        optimizers=config.range_test.optimizers,
        batch_size=config.range_test_batch_size,
        validation_data=task.validation,
        class_weight=class_weights(config, task),
    )


def _check_lengths(config: StageConfig, lengths: Mapping[int, int]) -> None:
    """Refuse trials with too few steps for a schedule that may be proposed, such as one with the most cycles."""
    study = config.study
    for batch_size, num_batches in lengths.items():
        num_steps = study.epochs * num_batches
        try:
            check_all_fit(study.schedules, num_steps, searches_warmup=study.searches_warmup)
        except ValueError as error:
            raise ConfigError(
                f"[study] epochs must be enough for every schedule that may be proposed, but {study.epochs} of "
                f"them in batches of {batch_size} are {num_steps} steps. {error}"
            ) from None
