"""Load the user's task: import its functions by `module:function`, and check its data."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lrrt.arrays import ArrayBatches
from lrrt.batches import Data, as_batches
from pipeline.failures import TaskError
from pipeline.task.guard import guarded

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Task:
    """A model builder and data; `test` is None if the task has none.

    `is_held_out` says that the validation data was taken out of the training data. `callbacks` makes a trial's Keras
    callbacks; None for a task without callbacks.
    """

    build_model: Callable[..., Any]
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
        build_model: `module:function`; the function returns a compiled model and is called later.
        load_data: `module:function`; called now. It returns {"train": .., "validation": .., "test": ..}, the last two
            optional.
        callbacks: `module:function`; the function makes a trial's Keras callbacks. "" is none.
        seed: the seed of the held-out samples, if there is no validation data.
        validation_fraction: the fraction of the training samples that is then held out.

    Raises:
        TaskError: if a function cannot be imported, or if `load_data` raises or returns something else.
    """
    builder, loader = import_function(build_model), import_function(load_data)
    maker = import_function(callbacks) if callbacks else None
    with guarded(f"{load_data} must return the task's data, it"):
        data = loader()
    if not isinstance(data, Mapping) or "train" not in data or set(data) - set(PARTS):
        got = ", ".join(map(repr, data)) if isinstance(data, Mapping) else type(data).__name__
        raise TaskError(
            f'{load_data} must return a dict with the key "train", and "validation" and "test" if there are any, '
            f"got {got}."
        )
    train, validation = data["train"], data.get("validation")
    is_held_out = validation is None
    if is_held_out:
        train, validation = _hold_out(train, validation_fraction, seed)
    return Task(builder, train, validation, data.get("test"), is_held_out, maker)


def import_function(path: str) -> Callable[..., Any]:
    """Import the function of `module:function`.

    Raises:
        TaskError: if the module or the function does not exist, or the import raises.
    """
    module_name, _, function_name = path.partition(":")
    remedy = "Run the command in the folder of the module, or name that folder with --app-dir."
    with guarded(f"{path} must be importable, importing {module_name!r}", remedy=remedy):
        module = importlib.import_module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        public = ", ".join(name for name in vars(module) if callable(getattr(module, name)) and name[0] != "_")
        raise TaskError(f"{path} must name a function, {module_name!r} has no {function_name!r}; it has {public}.")
    return function


def take_rows(batches: ArrayBatches, rows: Any) -> Data:
    """Return these rows of the arrays, in the order of the arrays."""
    import keras
    import numpy as np

    return keras.tree.map_structure(lambda array: np.asarray(array)[np.sort(rows)], batches.arrays)


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
