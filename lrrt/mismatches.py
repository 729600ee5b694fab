"""Put into words why data does not fit a model: shapes, what a library raised, and remedies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

NOISE = re.compile(r"\x1b\[[0-9;]*m|\{\{.*?\}\} ?| \[Op:.*")  # Keras's bold letters, TensorFlow's names of nodes
AROUND = ("Exception encountered when", "Arguments received by")  # lines of Keras's messages that say nothing of why


def reason_of(error: Exception) -> str:
    """Return the first line of an error that says what is wrong, without what Keras puts around it."""
    lines = [NOISE.sub("", line).strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(AROUND)]
    return f"{type(error).__name__}: {telling[0].rstrip('.') if telling else ''}"


def shapes_of(tensors: Any) -> str:
    """Return the shapes of batches, whose number of samples is left open."""
    import keras

    leaves = keras.tree.flatten(tensors)
    return " and ".join(str((None, *leaf.shape[1:])) for leaf in leaves if leaf is not None)


def shown(tensors: Any) -> str:
    """Return shapes, after the names of those in a dict."""
    if isinstance(tensors, dict):
        return " and ".join(f"{name} {shapes_of(one)}" for name, one in tensors.items())
    return f"shape {shapes_of(tensors)}"


def batch_remedy(model: keras.Model, x: Any) -> str:
    """Say what to do if x seems to be a single sample."""
    import keras

    inputs = getattr(model, "inputs", None) if model.built else None
    pairs = zip(inputs or [], keras.tree.flatten(x), strict=False)
    if any(len(leaf.shape) == len(tensor.shape) - 1 for tensor, leaf in pairs):
        return " Of a tf.data.Dataset of single samples, call .batch(32); to one array, add the axis that is missing."
    return ""


def label_remedy(y: Any, y_pred: Any) -> str:
    """Say what to do if labels are not of the model's outputs; "" if nothing can be told."""
    import keras

    num_labels, num_outputs = len(keras.tree.flatten(y)), len(keras.tree.flatten(y_pred))
    if num_labels == num_outputs == 1:
        return _remedy_of_one(*keras.tree.flatten(y), *keras.tree.flatten(y_pred))
    if num_labels == num_outputs:
        return ""
    return f" Give as many y as the model has outputs, {num_outputs}, got {num_labels}; several as a tuple or a dict."


def _remedy_of_one(y: Any, y_pred: Any) -> str:
    """Say which loss fits labels that are one-hot, or that are class numbers."""
    rank = len(y_pred.shape)
    if len(y.shape) == rank and y.shape[-1] == y_pred.shape[-1] != 1:
        return " One-hot labels go with categorical_crossentropy."
    if len(y.shape) == rank - 1 and y_pred.shape[-1] != 1:
        return " Class numbers go with sparse_categorical_crossentropy."
    return ""
