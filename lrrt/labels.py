"""Refuse labels that a loss takes without an error, though it does not compare each with its own prediction."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.arrays import ArrayBatches
from lrrt.rows import DiskRows

if TYPE_CHECKING:
    import keras

    from lrrt.batches import Batches

# Keras's losses of pairs of values, which NumPy's rules make of any two shapes; all others refuse other shapes, or have
# laws of their own.
OF_PAIRS = {
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"),
    *("huber", "log_cosh", "poisson", "kl_divergence", "hinge", "squared_hinge", "categorical_hinge"),
    "cosine_similarity",
}
OF_CLASS_NUMBERS = "sparse_categorical_crossentropy"


def check_shapes(model: keras.Model, y: Any, y_pred: Any, name: str) -> None:
    """Refuse labels of another shape than the output's where the loss would compare each with several predictions.

    Raises:
        ValueError: with both shapes.
    """
    if _name_of(model.loss) not in OF_PAIRS or not hasattr(y, "shape") or not hasattr(y_pred, "shape"):
        return
    shapes = [tuple(value.shape[1:]) for value in (y, y_pred)]
    if any(
        one is not None and other is not None and one != other
        for one, other in zip_longest(*map(_without_last_one, shapes), fillvalue=-1)
    ):
        y_shape, pred_shape = ((None, *shape) for shape in shapes)
        raise ValueError(
            f"{name} must have labels of the shape of the model's output, since {_name_of(model.loss)} compares one "
            f"with one, got y of shape {y_shape} for an output of shape {pred_shape}."
        )


def check_class_numbers(model: keras.Model, batches: Batches, num_classes: int, name: str) -> None:
    """Refuse class numbers that the model has no output for, or that are not whole.

    The former raise on a CPU, and give NaN on a GPU; Keras cuts the latter off.

    Raises:
        ValueError: with the range of the labels, or the first that is not whole.
    """
    if _name_of(model.loss) != OF_CLASS_NUMBERS or not isinstance(batches, ArrayBatches) or len(batches.arrays) == 1:
        return
    labels = batches.arrays[1]
    labels = np.asarray(labels.array if isinstance(labels, DiskRows) else labels)
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"The labels of {name} must lie in 0..{num_classes - 1}, one for each of the model's {num_classes} "
            f"outputs, got labels from {labels.min()} to {labels.max()}."
        )
    broken = labels[labels != np.floor(labels)]
    if broken.size:
        raise ValueError(
            f"The labels of {name} must be whole numbers, since {OF_CLASS_NUMBERS} takes them for classes, got "
            f"{broken.flat[0]:g}."
        )


def _name_of(loss: Any) -> str:
    """Return Keras's full name of one of its losses; "" for another, and for several."""
    import keras

    if not isinstance(loss, str | keras.losses.Loss) and not callable(loss):
        return ""
    try:
        found = keras.losses.get(loss)
    except ValueError:  # Keras says so where it is compiled
        return ""
    function = getattr(found, "fn", found)
    is_of_keras = str(getattr(function, "__module__", "")).partition(".")[0] == "keras"
    return str(getattr(function, "__name__", "")) if is_of_keras else ""


def _without_last_one(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Return a shape without a last axis of 1, which Keras adds and leaves out as needed."""
    return shape[:-1] if shape and shape[-1] == 1 else shape
