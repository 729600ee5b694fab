"""Read class numbers from labels, and weigh classes by how rare they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_ROWS = 2  # of a class, in the mean; values that hardly repeat are no classes


def class_numbers(arrays: Any) -> NDArray[np.int64] | None:
    """Return the class of each row, shape `(num_rows,)`; None if the labels are no classes.

    Classes are one-hot rows; or whole numbers from 0 on without a gap; or any two whole numbers; each of two rows or
    more in the mean. Other whole numbers, such as years or prices, are values to be predicted.

    Args:
        arrays: (x,), (x, y) or (x, y, sample_weight).
    """
    if len(arrays) == 1 or isinstance(arrays[1], dict | tuple | list):
        return None
    labels = np.asarray(arrays[1])
    if labels.dtype.kind not in "biuf":
        return None
    if labels.ndim == 2 and labels.shape[1] > 1:
        is_one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return labels.argmax(axis=1).astype(np.int64) if is_one_hot else None
    if labels.size != len(labels) or not np.array_equal(labels, np.round(labels)):
        return None
    numbers = labels.reshape(-1).astype(np.int64)
    values = np.unique(numbers)
    if len(values) * MIN_ROWS > len(numbers):
        return None
    has_gaps = values[0] != 0 or values[-1] != len(values) - 1
    return None if has_gaps and len(values) != 2 else numbers


def balanced_weights(classes: NDArray[np.int64]) -> Mapping[int, float]:
    """Return the weight of each class: `rows / (classes * rows of the class)`, as scikit-learn's "balanced".

    King and Zeng 2001, Logistic Regression in Rare Events Data, section 4.2.

    >>> balanced_weights(np.array([0, 0, 0, 1]))
    {0: 0.6666666666666666, 1: 2.0}
    """
    numbers, counts = np.unique(classes, return_counts=True)
    weights = len(classes) / (len(numbers) * counts)
    return dict(zip(numbers.tolist(), weights.tolist(), strict=True))
