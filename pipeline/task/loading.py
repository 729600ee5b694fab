"""Load the user's task: a model builder and data, from `module:function`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lrrt.arrays import ArrayBatches
from lrrt.batches import Data, as_batches
from lrrt.hyper_models import as_function, is_hyper_model
from lrrt.rows import subset
from pipeline.failures import TaskError
from pipeline.task.guard import guarded

PARTS = ("train", "validation", "test")
PAIR = 2  # x and y


@dataclass(frozen=True, slots=True)
class Task:
    """A model builder and data; `test` is None if the task has none.

    `is_held_out` says that the validation data was taken out of the training data. `callbacks` makes a trial's Keras
    callbacks; None for a task without callbacks.
    """

    build_model: Any
    train: Data
    validation: Data
    test: Data | None = None
    is_held_out: bool = False
    callbacks: Callable[..., Any] | None = None


def load_task(
    build_model: str, load_data: str, callbacks: str = "", *, seed: int = 0, validation_fraction: float = 0.2
) -> Task:
    """Import both functions and load the data.

    Args:
        build_model: `module:function`; the function returns a compiled model and is called later. A HyperModel may
            stand in its place.
        load_data: `module:function`; called now. It returns {"train": .., "validation": .., "test": ..}, the last two
            optional; or (x, y), (x_test, y_test), as those of `keras.datasets` do; or (x, y).
        callbacks: `module:function`; the function makes a trial's Keras callbacks. "" is none.
        seed: the seed of the held-out samples, if there is no validation data.
        validation_fraction: the fraction of the training samples that is then held out.

    Raises:
        TaskError: if a function cannot be imported, or if `load_data` raises or returns something else.
    """
    builder, loader = import_builder(build_model), import_function(load_data)
    maker = import_function(callbacks) if callbacks else None
    with guarded(f"{load_data} must return the task's data, it"):
        data = loader()
    data = _as_dict(data, load_data)
    train, validation = data["train"], data.get("validation")
    is_held_out = validation is None
    if is_held_out:
        train, validation = _hold_out(train, validation_fraction, seed)
    return Task(builder, train, validation, data.get("test"), is_held_out, maker)


def import_builder(path: str) -> Any:
    """Import the model builder of `module:function`, which may be KerasTuner's HyperModel too, an instance or a class.

    Raises:
        TaskError: as `import_function` does, and for a HyperModel class that needs arguments.
    """
    builder = import_function(path, is_taken=is_hyper_model)
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
    remedy = "Run the command in the folder of the module, or name that folder with --app-dir."
    with guarded(f"{path} must be importable, importing {module_name!r}", remedy=remedy):
        module = importlib.import_module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function) and not is_taken(function):
        public = ", ".join(name for name in vars(module) if callable(getattr(module, name)) and name[0] != "_")
        raise TaskError(f"{path} must name a function, {module_name!r} has no {function_name!r}; it has {public}.")
    return function


def _as_dict(data: Any, load_data: str) -> Mapping[str, Data]:
    """Return what `load_data` returned by the names of its parts.

    A tuple of two pairs is always training and test data; a model of two inputs and two outputs needs the dict.
    """
    if isinstance(data, Mapping) and "train" in data and set(data) <= set(PARTS):
        return data
    if isinstance(data, tuple | list) and len(data) == PAIR:
        are_pairs = [isinstance(part, tuple | list) and len(part) == PAIR and _holds_arrays(part) for part in data]
        if all(are_pairs):
            return dict(zip(("train", "test"), data, strict=True))
        if _holds_arrays(data) or any(isinstance(part, Mapping | tuple) for part in data):
            return {"train": data}
    got = ", ".join(map(repr, data)) if isinstance(data, Mapping) else type(data).__name__
    raise TaskError(
        f'{load_data} must return a dict with the key "train", and "validation" and "test" where there are any; or '
        f"(x, y), (x_test, y_test); or (x, y); got {got}."
    )


def _holds_arrays(parts: Any) -> bool:
    return all(hasattr(part, "shape") or isinstance(part, list) for part in parts)


def take_rows(batches: ArrayBatches, rows: Any) -> Data:
    """Return these rows of the arrays, in the order of the arrays."""
    import keras
    import numpy as np

    return keras.tree.map_structure(lambda array: subset(array, np.sort(rows)), batches.arrays)


def _hold_out(train: Data, fraction: float, seed: int) -> tuple[Data, Data]:
    """Split arrays into training and validation data; the latter is a fraction, drawn with the seed."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    try:
        batches = as_batches(train, 1, name="train")
        if not isinstance(batches, ArrayBatches):
            raise TaskError(
                'A tf.data.Dataset cannot be split here. Return a "validation" dataset from load_data as well.'
            )
        train_rows, held_rows = train_test_split(np.arange(batches.num_samples), test_size=fraction, random_state=seed)
    except (TypeError, ValueError) as error:  # also scikit-learn's, if nothing would be left on one side
        raise TaskError(str(error)) from error
    return take_rows(batches, train_rows), take_rows(batches, held_rows)
