"""Load and check a task before any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
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
from pipeline.task.agreement import check_lengths, check_names, with_dimensions
from pipeline.task.fingerprints import TaskPrint, print_of
from pipeline.task.first_configs import check_first
from pipeline.task.guard import guarded
from pipeline.task.loading import import_function, load_task
from pipeline.task.tensorflow import import_keras, use_all_devices
from pipeline.task.trainers import Scorer, class_weights, make_cache, make_loops, make_scorer, make_trainer
from studies import Evaluation, LoopCache, Trainer, TrialResult, evaluate_trained
from studies.before_training.shown_metrics import find_objectives
from studies.before_training.validation_data import check_finite
from studies.dimension import Value
from studies.space.model_hyperparameters import model_space

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
        own = with_dimensions(of_model, of_data)
        task = replace(task, model_names=tuple(dimension.name for dimension in of_model.dimensions))
        cache = make_cache(config, task, loops)
        find_objectives(cache, config.study.objectives, config.study.direction)
    check_names(config, own)
    check_first(config, own.dimensions)
    with guarded("The model must run on the test data, but a look at them", stopper=stopper):
        task = replace(task, test=checked_test_data(task.test, loops))
    check_lengths(config, lengths)
    folds = None
    for number in filter(None, (config.study.folds, config.study.score_folds)):
        folds = Folds(config, task, number)
        check_lengths(config, {size: math.ceil(folds.fewest_rows / size) for size in config.study.batch_sizes})
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
