"""Refuse labels outside of what a model's losses are defined on: numbers of its classes, or shares from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.rows import DiskRows, values_of

if TYPE_CHECKING:
    import keras


def check_labels(model: keras.Model, y: Any, y_pred: Any, name: str) -> None:
    """Refuse class numbers that the model has no output for, and labels of a binary loss that are no shares.

    Class numbers out of range raise on a CPU, and give NaN on a GPU; a binary loss has no lowest value then.

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
            values = values if ignored is None else values[values != ignored]
            num_classes = outputs.shape[-1]
            if len(values) and (values.min() < 0 or values.max() >= num_classes):
                raise ValueError(
                    f"The labels of {name} must lie in 0..{num_classes - 1}, one for each of the model's {num_classes} "
                    f"outputs, got labels from {values.min()} to {values.max()}."
                )
        elif _is(loss, "BinaryCrossentropy", "binary_crossentropy") and (values.min() < 0 or values.max() > 1):
            raise ValueError(
                f"The labels of {name} must lie from 0 to 1 for a binary_crossentropy, got labels from {values.min()} "
                f"to {values.max()}. Class numbers go with sparse_categorical_crossentropy, and others may be scaled."
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


def _is(loss: Any, kind: str, function: str) -> bool:
    import keras

    return isinstance(loss, getattr(keras.losses, kind)) or (
        getattr(loss, "fn", None) is getattr(keras.losses, function)
    )
