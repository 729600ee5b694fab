"""See whether the order of rows looks like time or groups: then neighbouring rows are more alike than any two."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PAIRS = 1000  # of neighbouring rows that are compared, evenly spaced
MAX_COLUMNS = 200  # of the data that are compared, evenly spaced
MIN_PAIRS = 20  # fewer say little
CLIP = 3.0  # standard deviations; one outlier must not decide
ALIKE, ALIKE_Z = 0.8, 5.0  # of all columns: neighbours differ by this part of what any two differ by, surely so
COLUMN, COLUMN_Z = 0.5, 6.0  # the same for one column, of which there are many


def looks_ordered(arrays: Any, classes: NDArray[np.int64] | None) -> bool:
    """Say whether neighbouring rows are so alike that their order may be that of time or of groups.

    Rows in a random order differ from their neighbours as much as from any others. For each column, the mean squared
    difference of neighbours is compared with that of pairs drawn at random (von Neumann's ratio). Rows of one class are
    compared with each other alone, since data sorted by class is not meant.

    Args:
        arrays: (x,), (x, y) or (x, y, sample_weight).
        classes: the class of each row; None if the labels are no classes.
    """
    table = _table(arrays[:1] if classes is not None else arrays[:2])
    if table is None or len(table) <= MIN_PAIRS:
        return False
    near, far = _pairs(len(table), classes)
    if near.shape[1] < MIN_PAIRS:
        return False
    picked = table[np.concatenate([near, far]).ravel()].reshape(4, -1, table.shape[1]).astype(np.float64)
    spread = picked.std(axis=(0, 1))
    picked = picked[:, :, spread > 0]
    if not picked.shape[2]:
        return False
    scaled = np.clip((picked - picked.mean(axis=(0, 1))) / picked.std(axis=(0, 1)), -CLIP, CLIP)
    of_near, of_far = (scaled[0] - scaled[1]) ** 2, (scaled[2] - scaled[3]) ** 2
    if _is_less(of_near.mean(axis=1), of_far.mean(axis=1), ALIKE, ALIKE_Z):
        return True
    columns = zip(of_near.T, of_far.T, strict=True)
    return any(_is_less(near_one, far_one, COLUMN, COLUMN_Z) for near_one, far_one in columns)


def _is_less(near: NDArray[np.float64], far: NDArray[np.float64], part: float, z: float) -> bool:
    error = np.sqrt(near.var() / len(near) + far.var() / len(far))
    return bool(near.mean() < part * far.mean() and far.mean() - near.mean() > z * error)


def _pairs(num_rows: int, classes: NDArray[np.int64] | None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pairs of neighbouring rows and pairs of any rows, both of one class, each of shape `(2, num_pairs)`."""
    labels = np.zeros(num_rows, np.int64) if classes is None else classes
    in_class = np.argsort(labels, kind="stable")
    shuffled = np.random.default_rng(0).permutation(num_rows)
    any_order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    every = [np.stack([order[:-1], order[1:]]) for order in (in_class, any_order)]
    same = [pairs[:, labels[pairs[0]] == labels[pairs[1]]] for pairs in every]
    near, far = (
        pairs[:, np.linspace(0, pairs.shape[1] - 1, min(MAX_PAIRS, pairs.shape[1])).astype(int)] for pairs in same
    )
    return near, far


def _table(parts: Any) -> Any:
    """Return numbers as one table of a row a sample; None if there are none."""
    from keras import tree

    columns = []
    for leaf in tree.flatten(parts):
        array = np.asarray(leaf) if hasattr(leaf, "shape") else None
        if array is not None and array.dtype.kind in "biuf" and array.size:
            flat = array.reshape(len(array), -1)
            columns.append(flat[:, np.unique(np.linspace(0, flat.shape[1] - 1, MAX_COLUMNS).astype(int))])
    return np.concatenate(columns, axis=1) if columns else None
