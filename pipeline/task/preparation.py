"""Load and check a task before any training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from lrrt import Loops, Ramp, RangeTestResult, Watcher, run_range_test
from pipeline.config.tables import StageConfig
from pipeline.console.stopping import Stopper
from pipeline.failures import ConfigError, TaskError
from pipeline.task.fingerprints import TaskPrint, print_of
from pipeline.task.folds import all_rows, each_fold, folds_of
from pipeline.task.guard import guarded
from pipeline.task.loading import Task, load_task
from pipeline.task.scored_data import checked_test_data
from pipeline.task.tensorflow import import_keras, use_all_devices
from studies import LoopCache, Objective, Trainer
from studies.schedules.schedule import check_all_fit
from studies.space.model_hyperparameters import ModelSpace, model_space
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
        objective: what trials are scored by.
    """

    task: Task
    cache: LoopCache
    tested: Loops
    known_by: TaskPrint
    objective: Objective

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

    def fold_trainers(
        self, config: StageConfig, on_note: Callable[[str], None]
    ) -> Iterator[tuple[str, Callable[[], Trainer]]]:
        """Yield the name of each fold, and what makes its trainer; nothing if the config asks for no folds."""

        def make(task: Task) -> Trainer:
            with guarded("The task must run on each fold, but that"):
                return make_trainer(config, make_cache(config, task), task, on_note=on_note)

        for name, train, validation in each_fold(config, self.cache.loops):
            yield name, partial(make, replace(self.task, train=train, validation=validation))


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
    with stopper.raising_at_limit():  # loading may take for ever
        return _prepared(config, stopper)


def _prepared(config: StageConfig, stopper: Stopper) -> Prepared:
    names = config.task
    task = load_task(
        names.build_model,
        names.load_data,
        names.callbacks,
        seed=config.study.seed,
        validation_fraction=config.study.validation_fraction,
    )
    with guarded(f"{names.build_model} must return a model for the task's data, but building it", stopper=stopper):
        loops = _make_loops(config, task)
        watched = config.range_test.monitor, config.range_test.monitor_mode
        tested = loops if watched[0] == "loss" else loops.like(monitor=watched[0], monitor_mode=watched[1])
        loops.check_batch_sizes(config.study.batch_sizes)
        lengths = {size: loops.num_batches(size) for size in config.study.batch_sizes}
        assert loops.validation is not None, "a task without validation data has some held out"
        _ = loops.validation.num_batches  # counted here, where the end of the time can stop it
        own = model_space(task.build_model)
        cache = make_cache(config, task, loops)
        objective, _ = find_objective(cache, config.study.objective, config.study.direction)
    _check_names(config, own)
    with guarded("The model must run on the test data, but a look at them", stopper=stopper):
        task = replace(task, test=checked_test_data(task.test, loops))
    _check_lengths(config, lengths)
    if config.study.folds:
        folds_of(config, all_rows(loops))  # refuses data that cannot be cut into folds
    return Prepared(task, cache, tested, print_of(config, loops, own), objective)


def make_cache(config: StageConfig, task: Task, loops: Loops | None = None) -> LoopCache:
    """Make the loops for the trials of a task; `loops` are those of its default model, if they exist already."""
    return LoopCache(loops or _make_loops(config, task))


def make_trainer(config: StageConfig, cache: LoopCache, task: Task, *, on_note: Callable[[str], None]) -> Trainer:
    """Make the trainer of a stage's trials.

    Args:
        config: has the epochs, the seed, the objective, the patience and the longest time.
        cache: the loops of the trials.
        task: has the callbacks.
        on_note: called with a sentence for the user about how trials are trained.

    Raises:
        TaskError: if the task's callbacks or its validation data cannot be used.
    """
    study = config.study
    with guarded("The task's callbacks and validation data must be usable, but a look at them"):
        return Trainer(
            cache,
            epochs=study.epochs,
            seed=study.seed,
            objective=study.objective,
            direction=study.direction,
            patience=study.patience,
            max_trial_s=study.max_trial_s,
            callbacks=task.callbacks,
            on_note=on_note,
        )


def _make_loops(config: StageConfig, task: Task) -> Loops:
    return Loops(
        task.build_model,
        task.train,
        optimizers=config.range_test.optimizers,
        batch_size=config.range_test_batch_size,
        validation_data=task.validation,
        steps_per_epoch=config.task.steps_per_epoch or None,
    )


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
