"""Cut a task's data into folds, each with its training and validation data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from lrrt.arrays import ArrayBatches
from lrrt.rows import join, subset
from pipeline.config.tables import StageConfig
from pipeline.failures import TaskError
from studies import make_folds
from studies.analysis.folds import Fold

if TYPE_CHECKING:
    from lrrt import Loops


def all_rows(loops: Loops) -> Any:
    """Return training and validation data as one; the rows of each array are joined.

    Raises:
        TaskError: if they are no arrays, or do not have the same parts.
    """
    from keras import tree

    train, validation = loops.batches, loops.validation
    if not isinstance(train, ArrayBatches) or not isinstance(validation, ArrayBatches):
        raise TaskError("Folds must be cut from arrays, got data that comes in batches. Set [study] folds = 0.")
    try:
        return tree.map_structure(lambda *parts: join(parts), train.arrays, validation.arrays)
    except ValueError as error:
        raise TaskError(
            f"Folds must be cut from training and validation data of the same parts, got others: {error}"
        ) from error


def folds_of(config: StageConfig, data: Any) -> list[Fold]:
    """Return the training rows and the validation rows of each fold.

    Raises:
        TaskError: if there are too few rows, too few of a class, or no classes for stratified folds.
    """
    from keras import tree

    study = config.study
    num_samples = tree.flatten(data)[0].shape[0]
    smallest = num_samples - math.ceil(num_samples / study.folds)
    if smallest < max(study.batch_sizes):
        raise TaskError(
            f"Each fold must leave a batch to train on, got {smallest} of {num_samples} samples for batches of "
            f"{max(study.batch_sizes)}."
        )
    labels = _classes(data) if study.stratified else None
    try:
        return list(make_folds(num_samples, num_folds=study.folds, labels=labels, seed=study.seed))
    except ValueError as error:
        raise TaskError(str(error)) from error


def each_fold(config: StageConfig, loops: Loops) -> Iterator[tuple[str, Any, Any]]:
    """Yield each fold's name, training data and validation data; none if the config asks for none."""
    from keras import tree

    if not config.study.folds:
        return
    data = all_rows(loops)
    for name, fold in zip(fold_names(config), folds_of(config, data), strict=True):
        train, validation = (tree.map_structure(partial(subset, index=rows), data) for rows in fold)
        yield name, train, validation


def fold_names(config: StageConfig) -> list[str]:
    """Return the name of the training on each fold."""
    kind = "stratified fold" if config.study.stratified else "fold"
    return [f"{kind} {number} of {config.study.folds}" for number in range(1, config.study.folds + 1)]


def _classes(data: Any) -> Any:
    import numpy as np

    labels = np.asarray(data[1]).squeeze() if len(data) > 1 and not isinstance(data[1], dict | tuple) else None
    if labels is None or labels.ndim != 1 or not np.array_equal(labels, labels.astype(int)):
        raise TaskError("Stratified folds must have one class number a sample. Set [study] stratified = false.")
    return labels.astype(int)
