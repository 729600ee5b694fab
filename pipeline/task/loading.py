"""Load the user's task: a model builder and data, from `module:function`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lrrt.arrays import ArrayBatches
from lrrt.batches import Data, as_batches
from lrrt.hyper_models import as_function, is_hyper_model, takes_hyperparameters
from lrrt.rows import subset
from lrrt.words import did_you_mean
from pipeline.data.loaded_task import HeldOut, Task
from pipeline.data.splits import group_numbers, split_of
from pipeline.failures import TaskError
from pipeline.task.guard import guarded
from studies.dimension import Value

PARTS = ("train", "validation", "test")
PAIR = 2  # x and y
GROUPS = "groups"


def load_task(
    build_model: str,
    load_data: str,
    callbacks: str = "",
    *,
    split: str = "auto",
    seed: int = 0,
    validation_fraction: float = 0.2,
    hyperparameters: Mapping[str, Value] | None = None,
    data: Any = None,
) -> Task:
    """Import both functions and load the data.

    Args:
        build_model: `module:function`; the function returns a compiled model and is called later. A HyperModel may
            stand in its place.
        load_data: `module:function`; called now, unless `data` is given. It returns {"train": .., "validation": ..,
            "test": .., "groups": ..}, all but the first optional; or (x, y), (x_test, y_test), as those of
            `keras.datasets` do; or (x, y).
        callbacks: `module:function`; the function makes a trial's Keras callbacks. "" is none.
        split: how validation data is held out, if there is none; see `pipeline.data.splits`.
        seed: the seed of the held-out samples.
        validation_fraction: the fraction of the training samples that is then held out.
        hyperparameters: values for a `load_data(hp)`; the defaults hold for the others.
        data: what `load_data` returned for these values, if it was called before.

    Raises:
        TaskError: if a function cannot be imported, or if `load_data` raises or returns something else.
    """
    builder, loader = import_builder(build_model), import_function(load_data)
    maker = import_function(callbacks) if callbacks else None
    if data is None:
        with guarded(f"{load_data} must return the task's data, it"):
            data = _called(loader, hyperparameters or {})
    parts = _as_dict(data, load_data)
    task = Task(builder, parts["train"], parts.get("validation"), parts.get("test"), maker, parts.get(GROUPS))
    return task if task.validation is not None else _hold_out(task, split, validation_fraction, seed, load_data)


def import_builder(path: str) -> Any:
    """Import the model builder of `module:function`, which may be KerasTuner's HyperModel too, an instance or a class.

    Raises:
        TaskError: as `import_function` does, for a model in place of its builder, and for a HyperModel class that needs
            arguments.
    """
    import keras

    builder = import_function(path, is_taken=is_hyper_model)
    if isinstance(builder, keras.Model):
        raise TaskError(
            f"{path} must be a function that builds a model, since each trial begins with a new one, got a model. Make "
            "it inside a function."
        )
    try:
        as_function(builder)
    except TypeError as error:
        raise TaskError(f"{path} cannot be used: {error}") from error
    return builder


def import_function(path: str, *, is_taken: Callable[[Any], bool] = callable) -> Any:
    """Import the function of `module:function`, or another object that is taken in its place.

    Raises:
        TaskError: if the module or the function does not exist, or the import raises.
    """
    module_name, _, function_name = path.partition(":")
    try:
        with guarded(f"{path} must be importable, importing {module_name!r}"):
            module = importlib.import_module(module_name)
    except TaskError as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if missing is None:
            raise
        remedy = _remedy_of_missing(missing, path, sys.path[0])
        raise TaskError(f"{error} {remedy}") from error.__cause__
    function = getattr(module, function_name, None)
    if not callable(function) and not is_taken(function):
        public = ", ".join(name for name in vars(module) if callable(getattr(module, name)) and name[0] != "_")
        raise TaskError(f"{path} must name a function, {module_name!r} has no {function_name!r}; it has {public}.")
    return function


def _remedy_of_missing(missing: str, path: str, folder: str) -> str:
    """Say what to do about a module that Python does not find.

    >>> _remedy_of_missing("lightgbm", "my_task:build_model", ".")
    "Install what brings 'lightgbm' in the environment of lrrt."

    Args:
        missing: the module's name.
        path: the `module:function` that needs it.
        folder: where the task's modules are looked for.
    """
    module_name, _, function_name = path.partition(":")
    if module_name != missing and not module_name.startswith(f"{missing}."):
        return f"Install what brings {missing!r} in the environment of lrrt."
    if module_name.endswith(".py"):
        return f'Write it without ".py": "{module_name.removesuffix(".py").replace("/", ".")}:{function_name}".'
    folder = os.path.abspath(folder)
    hint = did_you_mean(module_name, sorted(file.stem for file in Path(folder).glob("*.py")))
    return (
        f"It was looked for in {folder}: run the command in the folder of the module, or name that folder with "
        f"--app-dir.{hint}"
    )


def _called(load_data: Callable[..., Any], values: Mapping[str, Value]) -> Any:
    """Call the user's `load_data()`, or `load_data(hp)` with these values and the defaults of the others."""
    if not takes_hyperparameters(load_data, "load_data"):
        return load_data()
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return load_data(hp)


def _as_dict(data: Any, load_data: str) -> Mapping[str, Data]:
    """Return what `load_data` returned by the names of its parts.

    A tuple of two pairs is always training and test data; a model of two inputs and two outputs needs the dict.
    """
    if isinstance(data, Mapping) and "train" in data and set(data) <= {*PARTS, GROUPS}:
        return data
    if isinstance(data, tuple | list) and len(data) == PAIR:
        are_pairs = [isinstance(part, tuple | list) and len(part) == PAIR and _holds_arrays(part) for part in data]
        if all(are_pairs):
            return dict(zip(("train", "test"), data, strict=True))
        if _holds_arrays(data) or any(isinstance(part, Mapping | tuple) for part in data):
            return {"train": data}
    got = ", ".join(map(repr, data)) if isinstance(data, Mapping) else type(data).__name__
    is_data = any(hasattr(data, name) for name in ("shape", "element_spec", "num_batches", "__next__"))
    remedy = ' Return it as {"train": ..}.' if is_data else ""
    raise TaskError(
        f'{load_data} must return a dict with the key "train", and "validation" and "test" if there are any; or '
        f"(x, y), (x_test, y_test); or (x, y); got {got}.{remedy}"
    )


def _holds_arrays(parts: Any) -> bool:
    return all(hasattr(part, "shape") or isinstance(part, list) for part in parts)


def take_rows(batches: ArrayBatches, rows: Any) -> Data:
    """Return these rows of the arrays, in the order of the arrays."""
    import keras
    import numpy as np

    return keras.tree.map_structure(lambda array: subset(array, np.sort(rows)), batches.arrays)


def _hold_out(task: Task, split: str, fraction: float, seed: int, load_data: str) -> Task:
    """Return a task of arrays with a fraction of its training data as validation data."""
    try:
        batches = as_batches(task.train, 1, name="train")
    except (TypeError, ValueError) as error:
        raise TaskError(str(error)) from error
    if not isinstance(batches, ArrayBatches):
        raise TaskError('A tf.data.Dataset cannot be split here. Return a "validation" dataset from load_data as well.')
    groups = group_numbers(task.groups, batches.num_samples, load_data)
    way = split_of(split, batches.arrays, batches.num_samples, groups)
    rows = way.hold_out(fraction, seed)
    is_ordered = way.looks_ordered(batches.arrays, has_groups=groups is not None)
    train, validation = (take_rows(batches, part) for part in rows)
    return replace(task, train=train, validation=validation, held_out=HeldOut(way.kind, rows, is_ordered))
