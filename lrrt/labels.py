"""Refuse labels that a loss takes, though it means nothing for them: numbers of no class, shapes that it broadcasts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrrt.rows import DiskRows, values_of

if TYPE_CHECKING:
    import keras

# Keras's losses of pairs of values, which it makes of any two shapes by NumPy's rules; its other losses refuse shapes
# that do not fit, or have laws of their own.
OF_PAIRS = {
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"),
    *("huber", "log_cosh", "poisson", "kl_divergence", "hinge", "squared_hinge", "categorical_hinge"),
    "cosine_similarity",
}


def check_shapes(model: keras.Model, y: Any, y_pred: Any, name: str) -> None:
    """Refuse labels of another shape than their output's if the loss would compare each with several predictions.

    Args:
        model: whose compiled loss is built.
        y: labels of some samples, in the form that the loss takes.
        y_pred: what the model predicts for them.
        name: what messages call the data.

    Raises:
        ValueError: with both shapes.
    """
    import keras

    for loss, labels, outputs in _pairs(model, y, y_pred):
        function = getattr(loss, "fn", loss)
        loss_name = getattr(function, "__name__", "")
        if loss_name not in OF_PAIRS or function is not getattr(keras.losses, loss_name):
            continue
        shapes = [tuple(one.shape[1:]) for one in (labels, outputs)]
        pairs = zip_longest(*map(_without_last_one, shapes), fillvalue=-1)
        if any(one != other for one, other in pairs if one is not None and other is not None):
            of_labels, of_output = ((None, *shape) for shape in shapes)
            raise ValueError(
                f"{name} must have labels of the shape of the model's output, since {loss_name} compares one with one, "
                f"got y of shape {of_labels} for an output of shape {of_output}."
            )


def check_labels(model: keras.Model, y: Any, y_pred: Any, name: str) -> None:
    """Refuse class numbers that the model has no output for or that are not whole, and no shares for a binary loss.

    Class numbers out of range raise on a CPU, and give NaN on a GPU, and Keras cuts off what is not whole; a binary
    loss has no lowest value for what is no share.

    Args:
        model: whose compiled loss is built.
        y: all labels, in the form that the loss takes.
        y_pred: what the model predicts for some samples.
        name: what messages call the data.

    Raises:
        ValueError: for labels out of range.
    """
    for loss, labels, outputs in _pairs(model, y, y_pred):
        values = np.asarray(labels.array if isinstance(labels, DiskRows) else values_of(labels))
        if _is(loss, "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"):
            ignored = getattr(loss, "ignore_class", None)
            counted = values if ignored is None else values[values != ignored]
            _check_class_numbers(counted, outputs.shape[-1], name)
        elif _is(loss, "BinaryCrossentropy", "binary_crossentropy") and (values.min() < 0 or values.max() > 1):
            raise ValueError(
                f"The labels of {name} must lie from 0 to 1 for a binary_crossentropy, got labels from {values.min()} "
                f"to {values.max()}. Class numbers go with sparse_categorical_crossentropy, and others may be scaled."
            )


def _check_class_numbers(values: NDArray[Any], num_classes: int, name: str) -> None:
    if len(values) and (values.min() < 0 or values.max() >= num_classes):
        raise ValueError(
            f"The labels of {name} must lie in 0..{num_classes - 1}, one for each of the model's {num_classes} "
            f"outputs, got labels from {values.min()} to {values.max()}."
        )
    broken = values[values != np.floor(values)]
    if len(broken):
        raise ValueError(
            f"The labels of {name} must be whole numbers, since a sparse_categorical_crossentropy takes them for "
            f"classes, got {broken.flat[0]:g}."
        )


def _pairs(model: keras.Model, y: Any, y_pred: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each loss with the labels and the outputs that it compares; what is paired by Keras alone is left out."""
    compiled = getattr(model, "_compile_loss", None)  # Keras has no public way to losses by output
    for loss in getattr(compiled, "_flat_losses", None) or ():
        try:
            labels, outputs = _at(loss.path, y), _at(loss.path, y_pred)
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(labels, DiskRows) or hasattr(labels, "numpy"):
            yield loss.loss, labels, outputs


def _at(path: tuple[Any, ...], tensors: Any) -> Any:
    for key in path:
        tensors = tensors[key]
    return tensors


def _without_last_one(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Return a shape without a last axis of 1, which Keras adds and leaves out as needed."""
    return shape[:-1] if shape and shape[-1] == 1 else shape


def _is(loss: Any, kind: str, function: str) -> bool:
    import keras

    return isinstance(loss, getattr(keras.losses, kind)) or (
        getattr(loss, "fn", None) is getattr(keras.losses, function)
    )
