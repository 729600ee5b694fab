"""Turn the weights of classes into weights of samples, or of pixels if each has a label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lrrt.parts import MAX_PARTS, Batch

REMEDY = (
    "Give class numbers of shape (n,), or (n, height, width, 1) for images of labels, or one-hot labels; or pass "
    "sample weights."
)


def check_class_weight(class_weight: Mapping[int, float], parts: Batch, name: str) -> None:
    """Refuse class weights that do not fit the labels of data, or of its first batch.

    Args:
        class_weight: the weight of each class.
        parts: (x, y) or (x, y, sample_weight); tensors.
        name: what messages call the data.

    Raises:
        TypeError: for what is not {class: weight}.
        ValueError: for labels that are neither class numbers nor one-hot, or a class without a weight.
    """
    import tensorflow as tf

    numbers = isinstance(class_weight, Mapping) and all(isinstance(one, int | np.integer) for one in class_weight)
    if not numbers or not class_weight:
        raise TypeError(f"`class_weight` must be {{class: weight}}, with class numbers, got {class_weight!r:.80}.")
    if len(parts) == 1 or not isinstance(parts[1], tf.Tensor):
        raise ValueError(f"`class_weight` must be given with labels in one array, {name} has none.")
    labels = parts[1]
    if _is_wide(labels) and not bool(_is_one_hot(labels)):
        raise ValueError(
            f"`class_weight` must be given with one class a label, got labels of shape {tuple(labels.shape)} in {name} "
            f"that are not one-hot. {REMEDY}"
        )
    missing = sorted(set(np.unique(_classes(labels)).tolist()) - set(class_weight))
    if missing:
        raise ValueError(f"`class_weight` must have a weight for each class of {name}, got none for {missing}.")


def weighted(parts: Batch, class_weight: Mapping[int, float], name: str) -> Batch:
    """Return (x, y, sample_weight): the weight of each label's class, multiplied with a weight that is there.

    It runs inside a graph, too, and ends a training at a label that `check_class_weight` would refuse.
    """
    import keras
    import tensorflow as tf

    labels = parts[1]
    classes = _classes(labels)
    weights_by_class = [class_weight.get(number, np.nan) for number in range(max(class_weight) + 1)]
    table = tf.constant(weights_by_class, keras.config.floatx())
    is_inside = (classes >= 0) & (classes < len(weights_by_class))
    weights = tf.where(is_inside, tf.gather(table, tf.where(is_inside, classes, 0)), np.nan)
    are_known = tf.reduce_all(tf.math.is_finite(weights)) & (not _is_wide(labels) or _is_one_hot(labels))
    known = tf.debugging.Assert(
        are_known, [f"`class_weight` must have a weight for each class of {name}, and each label must be one class."]
    )
    with tf.control_dependencies([] if known is None else [known]):
        weights = tf.identity(weights)
    if len(parts) == MAX_PARTS:
        given = tf.cast(parts[2], weights.dtype)
        if given.shape.rank == 2 and given.shape[-1] == 1 and weights.shape.rank == 1:
            given = given[:, 0]
        rank = max(given.shape.rank, weights.shape.rank)
        weights = _of_rank(weights, rank) * _of_rank(given, rank)
    return parts[0], labels, weights


def _classes(labels: Any) -> Any:
    """Return the class of each label: of shape (n,), or (n, height, width) for images of labels."""
    import tensorflow as tf

    if _is_wide(labels):
        return tf.argmax(tf.cast(labels, tf.float32), axis=-1, output_type=tf.int32)
    if labels.shape.rank > 1:
        labels = tf.squeeze(labels, axis=-1)
    return tf.cast(tf.round(labels) if labels.dtype.is_floating else labels, tf.int32)


def _is_wide(labels: Any) -> bool:
    return bool(labels.shape.rank > 1 and labels.shape[-1] != 1)


def _is_one_hot(labels: Any) -> Any:
    import tensorflow as tf

    ones = tf.cast(labels == tf.ones_like(labels), tf.int32)
    zeros = tf.cast(labels == tf.zeros_like(labels), tf.int32)
    size = tf.shape(labels)[-1]
    return tf.reduce_all((tf.reduce_sum(ones, axis=-1) == 1) & (tf.reduce_sum(ones + zeros, axis=-1) == size))


def _of_rank(weights: Any, rank: int) -> Any:
    """Add axes of length 1 at the end, so that weights of samples meet those of their pixels."""
    import tensorflow as tf

    ones = tf.ones([rank - weights.shape.rank], tf.int32)
    return tf.reshape(weights, tf.concat([tf.shape(weights), ones], axis=0))
