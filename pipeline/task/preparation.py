"""Load and check a task before any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lrrt import Loops, Ramp, RangeTestResult, Stop, Watcher, run_range_test
from pipeline.config.tables import StageConfig
from pipeline.console.stopping import Stopper
from pipeline.data.data_use import DataUse, use_of
from pipeline.data.data_values import DataOfValues, Declared, data_dimensions
from pipeline.data.folds import Folds, fold_names, joined
from pipeline.data.loaded_task import Task
from pipeline.data.scored_data import checked_test_data
from pipeline.failures import ConfigError, TaskError
from pipeline.task.fingerprints import TaskPrint, print_of
from pipeline.task.first_configs import check_first
from pipeline.task.guard import guarded
from pipeline.task.loading import import_function, load_task
from pipeline.task.tensorflow import import_keras, use_all_devices
from pipeline.task.trainers import Scorer, class_weights, make_cache, make_loops, make_scorer, make_trainer
from studies import Dimension, Evaluation, LoopCache, Trainer, TrialResult, evaluate_trained
from studies.before_training.shown_metrics import find_objectives
from studies.before_training.validation_data import check_finite
from studies.dimension import Value
from studies.schedules.schedule import check_all_fit
from studies.space.model_hyperparameters import ModelSpace, model_space
from studies.trial_config import is_reserved

if TYPE_CHECKING:
    import keras


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

    def range_test(self, config: StageConfig, optimizer: str, watcher: Watcher) -> RangeTestResult:
        """Test the rates of one optimizer, at each batch size that the config tests.

        Raises:
            ValueError: if a loss was not finite since the data is not; to look at all of it before would cost a pass.
        """
        test = config.range_test
        result = run_range_test(
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
        if any(curve.stop is Stop.NON_FINITE for curves in result.curves.values() for curve in curves):
            check_finite(self.tested.batches, "data", most=test.num_steps)
        return result

    def trainer(self, config: StageConfig, on_note: Callable[[str], None]) -> Trainer:
        """Make the trainer of the trials; see `make_trainer`."""
        return make_trainer(config, self.cache, self.task, on_note=on_note)

    def scorer(self, config: StageConfig, trainer: Trainer, on_note: Callable[[str], None]) -> Scorer:
        """Make what scores the trials; see `make_scorer`."""
        return make_scorer(config, self.task, trainer, on_note=on_note)

    def evaluate(self, trainer: Trainer, model: keras.Model, result: TrialResult) -> Evaluation:
        """Evaluate a trial's model as it was after its best epoch."""
        return evaluate_trained(trainer.cache.loops_of(result.config), model, result)

    def fold_trainers(
        self, config: StageConfig, on_note: Callable[[str], None]
    ) -> Iterator[tuple[str, Callable[[], Trainer]]]:
        """Yield the name of each fold, and what makes its trainer; nothing if the config asks for no folds."""

        if not config.study.folds:
            return
        folds = Folds(config, self.task, config.study.folds)

        def make(index: int) -> Trainer:
            with guarded("The task must run on each fold, but that"):
                task = folds[index]
                return make_trainer(config, make_cache(config, task), task, on_note=on_note)

        for index, name in enumerate(fold_names(config)):
            yield name, partial(make, index)


OnNote = Callable[[str], None]
Prepare = Callable[[StageConfig, Stopper, OnNote], Prepared]


def prepare(config: StageConfig, stopper: Stopper | None = None, on_note: OnNote = lambda text: None) -> Prepared:
    """Import the task, load its data and build its model, so that their mistakes appear before any training.

    From then on this process trains on all devices that it sees.

    Args:
        config: names the task's functions; the study's seed, batch sizes, epochs, schedules and folds are checked
            against the data.
        stopper: is asked after the import of Keras whether to stop; None never stops.
        on_note: called with a sentence for the user if it takes long.

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
    with stopper.raising_at_limit():  # loading may take for ever
        return _prepared(config, stopper, on_note)


def _prepared(config: StageConfig, stopper: Stopper, on_note: OnNote) -> Prepared:
    names = config.task
    declared = _declared(config)
    of_data = () if declared is None else declared.dimensions
    task = _load(config, data=None if declared is None else declared.data)
    if declared is not None and of_data:
        data_names = tuple(dimension.name for dimension in of_data)
        of_values = DataOfValues(partial(_load, config), data_names, first=(declared.defaults, task))
        task = replace(task, of_values=of_values, data_names=data_names)
    with guarded(f"{names.build_model} must return a model for the task's data, but building it", stopper=stopper):
        loops = make_loops(config, task)
        watched = config.range_test.monitor, config.range_test.monitor_mode
        tested = loops if watched[0] == "loss" else loops.like(monitor=watched[0], monitor_mode=watched[1])
        loops.check_batch_sizes(config.study.batch_sizes)
        lengths = {size: loops.num_batches(size) for size in config.study.batch_sizes}
        assert loops.validation is not None, "a task without validation data has some held out"
        _ = loops.validation.num_batches  # counted here, where the end of the time can stop it
        of_model = model_space(task.build_model, on_progress=on_note)
        own = _with_data(of_model, of_data)
        task = replace(task, model_names=tuple(dimension.name for dimension in of_model.dimensions))
        cache = make_cache(config, task, loops)
        find_objectives(cache, config.study.objectives, config.study.direction)
    _check_names(config, own)
    check_first(config, own.dimensions)
    with guarded("The model must run on the test data, but a look at them", stopper=stopper):
        task = replace(task, test=checked_test_data(task.test, loops))
    _check_lengths(config, lengths)
    folds = None
    for number in filter(None, (config.study.folds, config.study.score_folds)):
        folds = Folds(config, task, number)
        _check_lengths(config, {size: math.ceil(folds.fewest_rows / size) for size in config.study.batch_sizes})
    if config.study.refit:
        joined(task)  # refuses now what could not be done after the study
    known_by, use = print_of(config, loops, own), use_of(config, task, folds, class_weights(config, task))
    return Prepared(task, cache, tested, known_by, use)


def _load(config: StageConfig, hyperparameters: Mapping[str, Value] | None = None, data: Any = None) -> Task:
    names = config.task
    return load_task(
        names.build_model,
        names.load_data,
        names.callbacks,
        seed=config.study.seed,
        split=names.split,
        validation_fraction=config.study.validation_fraction,
        hyperparameters=hyperparameters,
        data=data,
    )


def _declared(config: StageConfig) -> Declared | None:
    with guarded(f"{config.task.load_data} must return the task's data, it"):
        return data_dimensions(import_function(config.task.load_data))


def _with_data(of_model: ModelSpace, of_data: Sequence[Dimension]) -> ModelSpace:
    """Return the hyperparameters of the model and of the data; one that both have is searched once.

    Raises:
        ValueError: for two different ones of one name.
    """
    every = {dimension.name: dimension for dimension in of_model.dimensions}
    for dimension in of_data:
        if every.setdefault(dimension.name, dimension) != dimension:
            raise ValueError(
                f"A hyperparameter of model and data must be declared alike in both, got {dimension.name!r} as "
                f"{every[dimension.name]} and {dimension}."
            )
    return replace(of_model, dimensions=tuple(every.values()))


_INSTEAD = {
    "optimizer": 'give "optimizers = [..]" under [range_test]',
    "batch_size": 'give "batch_sizes = [..]" under [study]',
    "weight_decay": 'give "weight_decay = [low, high]" under [study]',
    "momentum": 'give "momentum = [low, high]" under [study]',
    "schedule": 'give "schedules = [..]" under [study]',
}


def _check_names(config: StageConfig, own: ModelSpace) -> None:
    """Refuse hyperparameters of the model with names of ours, and a choice of optimizers that the config does not make.

    Optimizers that the config names stand in place of the model's choice.
    """
    builder = config.task.build_model
    taken = [dimension.name for dimension in own.dimensions if is_reserved(dimension.name)]
    if taken:
        instead = f" If it is what lrrt means by it, {_INSTEAD[taken[0]]}." if taken[0] in _INSTEAD else ""
        raise TaskError(
            f"Hyperparameters of {builder} must have other names than lrrt's own, got {taken[0]!r}, which changes the "
            f"model.{instead}"
        )
    if own.optimizers and "optimizers" not in config.range_test.model_fields_set:
        names = ", ".join(f'"{name}"' for name in own.optimizers)
        raise ConfigError(
            f"[range_test] optimizers must say which optimizers are searched if {builder} chooses among several, got "
            f"{names} there and nothing in the config. Write: optimizers = [{names}]"
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
