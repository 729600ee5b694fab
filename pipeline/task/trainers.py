"""Make what trains: the loops of a task, the trainer of its trials, and what scores them on folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from lrrt import Loops
from pipeline.config.tables import StageConfig
from pipeline.data.folds import Folds
from pipeline.data.labels import balanced_weights, class_numbers
from pipeline.data.loaded_task import Task
from pipeline.failures import TaskError
from pipeline.task.guard import guarded
from studies import CrossValidator, LoopCache, Trainer
from studies.dimension import Value

Scorer = Trainer | CrossValidator


def make_cache(config: StageConfig, task: Task, loops: Loops | None = None) -> LoopCache:
    """Make the loops for the trials of a task; `loops` are those of its default model, if they exist already."""
    loops = loops or make_loops(config, task)
    return LoopCache(loops, make=None if task.of_values is None else _LoopsOfData(config, task))


class _LoopsOfData:
    """Make the loops of a trial whose data depend on its hyperparameters; models with the same data share them.

    A cache holds the loops; when it lets go of them, so does this.
    """

    def __init__(self, config: StageConfig, task: Task) -> None:
        self.config, self.task = config, task
        self._loops: WeakValueDictionary[tuple[tuple[str, Value], ...], Loops] = WeakValueDictionary()

    def __call__(self, values: Mapping[str, Value]) -> Loops:
        of_model = {name: value for name, value in values.items() if name in self.task.model_names}
        key = tuple((name, value) for name, value in values.items() if name in self.task.data_names)
        with_same_data = self._loops.get(key)
        if with_same_data is not None:
            return with_same_data.like(hyperparameters=of_model)
        made = make_loops(self.config, self.task.for_values(values.items()), of_model)
        self._loops[key] = made
        return made


def make_trainer(config: StageConfig, cache: LoopCache, task: Task, *, on_note: Callable[[str], None]) -> Trainer:
    """Make the trainer of a stage's trials.

    Args:
        config: has the epochs, the seed, the objectives, the patience and the longest time.
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
            objective=study.objectives,
            direction=study.direction,
            patience=study.patience,
            max_trial_s=study.max_trial_s,
            callbacks=task.callbacks,
            jit=study.jit,
            on_note=on_note,
        )


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
    weights = config.task.class_weight
    if not isinstance(weights, str):
        return weights
    classes = class_numbers(task.train) if isinstance(task.train, tuple | list) else None
    if classes is None or classes.min() < 0:
        raise TaskError(
            'class_weight = "balanced" must come with labels in an array that are one class a row, got others. Give a '
            "table of class to weight, or data with sample weights."
        )
    return balanced_weights(classes)


def make_loops(config: StageConfig, task: Task, hyperparameters: Mapping[str, Value] | None = None) -> Loops:
    """Make the loops of a task's model, with its default hyperparameters or with these."""
    return Loops(
        task.build_model,
        task.train,
        optimizers=config.range_test.optimizers,
        batch_size=config.range_test_batch_size,
        validation_data=task.validation,
        class_weight=class_weights(config, task),
        hyperparameters=hyperparameters,
        steps_per_epoch=config.task.steps_per_epoch or None,
    )
