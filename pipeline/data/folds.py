"""Cut a task's data into folds, each with its training and validation data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.arrays import ArrayBatches
from lrrt.batches import as_batches
from lrrt.rows import join, subset
from lrrt.streams import is_stream
from pipeline.config.tables import StageConfig
from pipeline.data.labels import class_numbers
from pipeline.data.splits import Split, group_numbers, split_of
from pipeline.failures import TaskError
from studies.analysis.folds import Fold
from studies.dimension import Value

if TYPE_CHECKING:
    from pipeline.data.loaded_task import Task


class Folds:
    """The folds of a task's rows.

    They are cut from the training data, from which validation data may have been held out; from validation data that
    the task brings only if the config mixes it in. The rows of each fold are copied when it is asked for.

    Args:
        config: says how rows are split.
        task: the task.
        number: how many folds there are.

    Raises:
        TaskError: if the data are no arrays, or cannot be cut into so many folds.
    """

    def __init__(self, config: StageConfig, task: Task, number: int) -> None:
        self.task, self._config, self._number = task, config, number
        self._data, num_rows = _rows_of(task, joins=task.held_out is not None or config.study.mixes_validation)
        self.split = _split_of(config, task, self._data, num_rows)
        self._folds = self.split.folds(number, config.study.seed)
        self.fewest_rows = min(len(train) for train, _ in self._folds)
        if self.fewest_rows < max(config.study.batch_sizes):
            raise TaskError(
                f"Each fold must leave a batch to train on, got {self.fewest_rows} of {num_rows} samples for batches "
                f"of {max(config.study.batch_sizes)}."
            )

    def __getitem__(self, index: int) -> Task:
        """Return the task of a fold, whose validation data are the fold's."""
        train, validation = (_taken(self._data, rows) for rows in self._folds[index])
        of_values = self.task.of_values
        if of_values is None:
            return replace(self.task, train=train, validation=validation)

        def fold_of(values: Mapping[str, Value]) -> Task:
            return Folds(self._config, of_values(values), self._number)[index]

        return replace(self.task, train=train, validation=validation, of_values=fold_of)

    @property
    def looks_ordered(self) -> bool:
        """Whether rows are drawn at random though their order looks like that of time or groups."""
        return self.split.looks_ordered(self._data, has_groups=self.task.groups is not None)

    @property
    def rows(self) -> list[Fold]:
        """The training rows and the validation rows of each fold."""
        return self._folds


def fold_names(config: StageConfig) -> list[str]:
    """Return the name of the training on each fold."""
    kind = "stratified fold" if config.study.stratified else "fold"
    return [f"{kind} {number} of {config.study.folds}" for number in range(1, config.study.folds + 1)]


def joined(task: Task) -> Task:
    """Return a task whose training data are its training and validation data as one.

    Raises:
        TaskError: if they cannot be joined, or have no end.
    """
    of_values = task.of_values
    both = replace(task, train=_joined(task))
    return both if of_values is None else replace(both, of_values=lambda values: joined(of_values(values)))


def _joined(task: Task) -> Any:
    if not is_stream(task.train) and not is_stream(task.validation):
        return joined_rows(task, "A refit")
    import tensorflow as tf

    parts = task.train, task.validation
    try:
        if all(isinstance(part, tf.data.Dataset) for part in parts):
            return _interleaved(parts, [as_batches(part, 1).num_batches for part in parts])
    except (TypeError, ValueError) as error:
        raise TaskError(f"A refit must have data that can be joined and that ends: {error}") from error
    kinds = " and ".join(type(part).__name__ for part in parts)
    raise TaskError(
        "A refit must have training and validation data in arrays, or both as tf.data.Dataset, so that they can be "
        f"joined and have an end, got {kinds}. Set [study] refit = false."
    )


def joined_rows(task: Task, what: str) -> Any:
    """Return training and validation data as one, in the order in which they came.

    Args:
        task: the task.
        what: the name for messages of what they are joined for.

    Raises:
        TaskError: if they are no arrays, or do not have the same parts.
    """
    from keras import tree

    train, validation = (_arrays(part, what) for part in (task.train, task.validation))
    try:
        data = tree.map_structure(lambda *parts: join(parts), train.arrays, validation.arrays)
    except ValueError as error:
        raise TaskError(
            f"{what} must have training and validation data of the same parts, got others: {error}"
        ) from error
    return data if task.held_out is None else _taken(data, np.argsort(np.concatenate(task.held_out.rows)))


def _interleaved(datasets: Sequence[Any], lengths: Sequence[int]) -> Any:
    """Return the batches of datasets as one, spread evenly, since a training must not end with those of one of them."""
    import tensorflow as tf

    places = np.concatenate([(np.arange(length) + 0.5) / length for length in lengths])
    of_place = np.repeat(np.arange(len(lengths)), lengths)[np.argsort(places, kind="stable")]
    choice = tf.data.Dataset.from_tensor_slices(of_place.astype(np.int64))
    both = tf.data.Dataset.choose_from_datasets(list(datasets), choice)
    return both.apply(tf.data.experimental.assert_cardinality(sum(lengths)))


def _rows_of(task: Task, *, joins: bool) -> tuple[Any, int]:
    from keras import tree

    data = joined_rows(task, "Folds") if joins else _arrays(task.train, "Folds").arrays
    return data, int(tree.flatten(data)[0].shape[0])


def _arrays(data: Any, what: str) -> ArrayBatches:
    batches = as_batches(data, 1)
    if not isinstance(batches, ArrayBatches):
        raise TaskError(
            f"{what} must be made from arrays, got data that comes in batches. Return arrays, or do without."
        )
    return batches


def _split_of(config: StageConfig, task: Task, data: Any, num_rows: int) -> Split:
    if config.study.stratified and class_numbers(data) is None:
        raise TaskError("Stratified folds must have labels that are one class a row. Set [study] stratified = false.")
    name = "stratified" if config.study.stratified else config.task.split
    uses_groups = name in ("auto", "group")
    groups = group_numbers(task.groups, num_rows, config.task.load_data) if uses_groups else None
    return split_of(name, data, num_rows, groups)


def _taken(data: Any, rows: Any) -> Any:
    from keras import tree

    return tree.map_structure(partial(subset, index=rows), data)
