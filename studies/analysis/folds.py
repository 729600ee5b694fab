"""Cut data into folds: each is the validation data of one training on the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Fold = tuple[Rows, Rows]
"""The rows of the training data, and those of the validation data."""


def make_folds(
    num_samples: int,
    *,
    num_folds: int = 5,
    labels: Any = None,
    groups: Any = None,
    in_order: bool = False,
    seed: int = 0,
) -> Iterator[Fold]:
    """Yield (training indices, validation indices) of each fold, shuffled; each sample is in one validation part.

    Args:
        num_samples: samples in the data.
        num_folds: the number of folds.
        labels: the class of each sample; each fold has the same shares of the classes. None ignores classes.
        groups: the group of each sample; no group stands on both sides of a fold. None ignores groups.
        in_order: whether each fold trains only on the samples before those that it validates on; then the first
            samples are in no validation part.
        seed: the seed of the shuffling.

    Raises:
        ValueError: for fewer than two folds, or for more folds than samples in the data or in a class, or than groups.

    >>> [(len(train), len(validation)) for train, validation in make_folds(10, num_folds=5)]
    [(8, 2), (8, 2), (8, 2), (8, 2), (8, 2)]
    >>> [(train.tolist(), validation.tolist()) for train, validation in make_folds(6, num_folds=2, in_order=True)]
    [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

    if not 2 <= num_folds <= num_samples:
        raise ValueError(f"`2 <= num_folds <= num_samples` must hold, got {num_folds!r} folds of {num_samples!r}.")
    placeholder = np.zeros(num_samples)
    if in_order:
        if num_samples == num_folds:
            raise ValueError(f"Folds in order must have a sample before the first, got {num_folds} of {num_samples}.")
        yield from TimeSeriesSplit(num_folds).split(placeholder)
        return
    if groups is not None:
        num_groups = len(np.unique(np.asarray(groups)))
        if num_groups < num_folds:
            raise ValueError(f"Each fold must have a group of its own, got {num_groups} groups for {num_folds} folds.")
        yield from GroupKFold(num_folds).split(placeholder, groups=np.asarray(groups))
        return
    if labels is None:
        yield from KFold(num_folds, shuffle=True, random_state=seed).split(placeholder)
        return
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    if counts.min() < num_folds:
        raise ValueError(
            f"Each class must have a sample in each of {num_folds} folds, got {counts.min()} of class "
            f"{classes[counts.argmin()]}. Take fewer folds, or folds without labels."
        )
    yield from StratifiedKFold(num_folds, shuffle=True, random_state=seed).split(placeholder, np.asarray(labels))
