"""Load and check a task before any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from lrrt import Loops, Ramp, RangeTestResult, Watcher, run_range_test
from pipeline.config.tables import StageConfig
from pipeline.console.stopping import Stopper
from pipeline.failures import ConfigError, TaskError
from pipeline.task.data_use import DataUse, use_of
from pipeline.task.data_values import DataOfValues
from pipeline.task.fingerprints import TaskPrint, print_of
from pipeline.task.first_configs import check_first
from pipeline.task.folds import Folds, fold_names, joined
from pipeline.task.loading import Task, import_function, load_task
from pipeline.task.tensorflow import import_keras, use_all_devices
from pipeline.task.trainers import Scorer, class_weights, make_cache, make_loops, make_scorer, make_trainer
from studies import Dimension, LoopCache, Objective, Trainer, own_dimensions
from studies.dimension import Value
from studies.schedules.schedule import check_all_fit
from studies.training.shown_metrics import find_objective
from studies.trial import is_reserved


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
        objective: what trials are scored by.
    """

    task: Task
    cache: LoopCache
    tested: Loops
    known_by: TaskPrint
    objective: Objective
    data_use: DataUse

    def range_test(self, config: StageConfig, optimizer: str, watcher: Watcher) -> RangeTestResult:
        """Test the rates of one optimizer, at each batch size that the config tests."""
        test = config.range_test
        return run_range_test(
            self.tested,
            Ramp(test.start_lr, test.end_lr, test.num_steps, test.spacing),
            optimizers=(optimizer,),
            repeats=test.repeats,
            seed=config.study.seed,
            training_epochs=config.study.epochs,
            batch_sizes=config.tested_batch_sizes,
            confirm_steps=test.confirm_steps,
            watcher=watcher,
        )

    def trainer(self, config: StageConfig, on_note: Callable[[str], None]) -> Trainer:
        """Make the trainer of the trials; see `make_trainer`."""
        return make_trainer(config, self.cache, self.task, on_note=on_note)

    def scorer(self, config: StageConfig, trainer: Trainer, on_note: Callable[[str], None]) -> Scorer:
        """Make what scores the trials; see `make_scorer`."""
        return make_scorer(config, self.task, trainer, on_note=on_note)

    def fold_trainers(
        self, config: StageConfig, on_note: Callable[[str], None]
    ) -> Iterator[tuple[str, Callable[[], Trainer]]]:
        """Yield the name of each fold, and what makes its trainer; nothing if the config asks for no folds."""

        if not config.study.folds:
            return
        folds = Folds(config, self.task, config.study.folds)

        def make(index: int) -> Trainer:
            task = folds[index]
            return make_trainer(config, make_cache(config, task), task, on_note=on_note)

        for index, name in enumerate(fold_names(config)):
            yield name, partial(make, index)


Prepare = Callable[[StageConfig, Stopper], Prepared]


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
    of_data = _data_dimensions(config)
    task = _load(config)
    if of_data:
        data_names = tuple(dimension.name for dimension in of_data)
        of_values = DataOfValues(partial(_load, config), data_names)
        task = replace(task, of_values=of_values, data_names=data_names)
    try:
        loops = make_loops(config, task)
        watched = config.range_test.monitor, config.range_test.monitor_mode
        tested = loops if watched[0] == "loss" else loops.like(monitor=watched[0], monitor_mode=watched[1])
        loops.check_batch_sizes(config.study.batch_sizes)
        lengths = {size: loops.num_batches(size) for size in config.study.batch_sizes}
        dimensions = _dimensions(task, of_data)
        cache = make_cache(config, task, loops)
        objective, _ = find_objective(cache, config.study.objective, config.study.direction)
    except Exception as error:  # building the model runs the user's code, which may raise anything
        raise TaskError(f"{type(error).__name__}: {error}") from error
    taken = [dimension.name for dimension in dimensions if is_reserved(dimension.name)]
    if taken:
        raise TaskError(
            f"Hyperparameters of {names.build_model} and {names.load_data} must have other names than lrrt's own, got "
            f"{taken[0]!r}."
        )
    check_first(config, dimensions)
    _check_lengths(config, lengths)
    folds = None
    for number in filter(None, (config.study.folds, config.study.score_folds)):
        folds = Folds(config, task, number)
        _check_lengths(config, {size: math.ceil(folds.fewest_rows / size) for size in config.study.batch_sizes})
    if config.study.refit:
        joined(task)  # refuses now what could not be done after the study
    known_by, use = print_of(config, loops, dimensions), use_of(config, task, folds, class_weights(config, task))
    return Prepared(task, cache, tested, known_by, objective, use)


def _load(config: StageConfig, hyperparameters: Mapping[str, Value] | None = None) -> Task:
    names = config.task
    return load_task(
        names.build_model,
        names.load_data,
        names.callbacks,
        seed=config.study.seed,
        split=names.split,
        validation_fraction=config.study.validation_fraction,
        hyperparameters=hyperparameters,
    )


def _data_dimensions(config: StageConfig) -> tuple[Dimension, ...]:
    try:
        return own_dimensions(import_function(config.task.load_data))
    except TaskError:
        raise
    except Exception as error:  # loading the data runs the user's code, which may raise anything
        raise TaskError(
            f"{config.task.load_data} must return the task's data, it raised {type(error).__name__}: {error}"
        ) from error


def _dimensions(task: Task, of_data: Sequence[Dimension]) -> tuple[Dimension, ...]:
    """Return the hyperparameters of the model and of the data; one that both have is searched once.

    Raises:
        ValueError: for two different ones of one name.
    """
    of_model = {dimension.name: dimension for dimension in own_dimensions(task.build_model)}
    for dimension in of_data:
        if of_model.setdefault(dimension.name, dimension) != dimension:
            raise ValueError(
                f"A hyperparameter of model and data must be declared alike in both, got {dimension.name!r} as "
                f"{of_model[dimension.name]} and {dimension}."
            )
    return tuple(of_model.values())


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
