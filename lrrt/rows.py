"""Take rows of what a batch is made of: dense, ragged and sparse tensors of numbers or text, and arrays on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, slots=True, eq=False)
class SparseRows:
    """A sparse array of which rows can be taken, since a `tf.SparseTensor` offers none.

    Attributes:
        positions: where each value stands in its row; ragged, of shape `(num_rows, None, rank - 1)`.
        values: each row's values; ragged, of shape `(num_rows, None)`.
        shape: of the whole array.
    """

    positions: tf.RaggedTensor
    values: tf.RaggedTensor
    shape: tuple[int | None, ...]

    @classmethod
    def from_tensor(cls, tensor: tf.SparseTensor) -> Self:
        """Cut a sparse tensor, whose values may be in any order, into its rows."""
        import tensorflow as tf

        ordered = tf.sparse.reorder(tensor)
        as_rows = partial(
            tf.RaggedTensor.from_value_rowids,
            value_rowids=ordered.indices[:, 0],
            nrows=ordered.dense_shape[0],
            validate=False,
        )
        return cls(as_rows(ordered.indices[:, 1:]), as_rows(ordered.values), tuple(tensor.shape))

    @property
    def dtype(self) -> tf.DType:
        return self.values.dtype

    def gather(self, index: Any) -> tf.SparseTensor:
        """Return these rows as a sparse tensor."""
        import tensorflow as tf

        positions, values = tf.gather(self.positions, index), tf.gather(self.values, index)
        indices = tf.concat([values.value_rowids()[:, None], positions.flat_values], axis=1)
        num_rows = tf.cast(values.nrows(), tf.int64)
        tensor = tf.SparseTensor(indices, values.flat_values, tf.stack([num_rows, *self.shape[1:]]))
        return tf.sparse.reorder(tensor)


@dataclass(frozen=True, slots=True, eq=False)
class DiskRows:
    """A `numpy.memmap`, or some rows of it, which stays on disk: rows are read when they are taken.

    Attributes:
        array: the whole array.
        index: which of its rows belong to this; None for all.
    """

    array: NDArray[Any]
    index: NDArray[np.integer] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.array) if self.index is None else len(self.index), *self.array.shape[1:])

    @property
    def dtype(self) -> tf.DType:
        """The type of the rows that are taken: Keras's own for floats."""
        import keras
        import tensorflow as tf

        is_float = np.issubdtype(self.array.dtype, np.floating)
        return tf.as_dtype(keras.config.floatx() if is_float else self.array.dtype)

    def read(self, index: NDArray[np.integer]) -> NDArray[Any]:
        """Return a copy of these rows in memory."""
        rows = self.array[index if self.index is None else self.index[index]]
        return np.asarray(rows, self.dtype.as_numpy_dtype)

    def subset(self, index: NDArray[np.integer]) -> Self:
        """Return these rows, still on disk."""
        return replace(self, index=index if self.index is None else self.index[index])

    def gather(self, index: Any) -> tf.Tensor:
        """Return these rows as a tensor; they are read when a graph runs, too."""
        import tensorflow as tf

        rows = tf.numpy_function(self.read, [index], self.dtype)
        rows.set_shape([None, *self.array.shape[1:]])
        return rows


def gather(rows: Any, index: Any) -> Any:
    """Return rows as a tensor of their kind."""
    import tensorflow as tf

    if isinstance(rows, tf.SparseTensor):
        rows = SparseRows.from_tensor(rows)
    return rows.gather(index) if isinstance(rows, SparseRows | DiskRows) else tf.gather(rows, index)


def subset(rows: Any, index: NDArray[np.integer]) -> Any:
    """Return some rows in a form that range tests accept as data; those of an array on disk stay there."""
    import tensorflow as tf

    if isinstance(rows, DiskRows):
        return rows.subset(index)
    is_dense = not isinstance(rows, SparseRows | tf.SparseTensor | tf.RaggedTensor)
    return np.asarray(rows)[index] if is_dense else gather(rows, index)


def join(parts: Sequence[Any]) -> Any:
    """Return the rows of all parts, which are of one kind, as data; what is on disk is read."""
    import tensorflow as tf

    tensors = [gather(part, np.arange(part.shape[0])) for part in parts]
    if isinstance(tensors[0], tf.SparseTensor):
        return tf.sparse.concat(0, tensors)
    if isinstance(tensors[0], tf.RaggedTensor):
        return tf.concat(tensors, axis=0)
    return np.concatenate([np.asarray(tensor) for tensor in tensors])


def num_rows(tensor: Any) -> tf.Tensor:
    """Return how many rows a tensor has, inside a graph, too."""
    import tensorflow as tf

    if isinstance(tensor, tf.RaggedTensor):
        return tf.cast(tensor.nrows(), tf.int32)
    return tf.cast(tensor.dense_shape[0], tf.int32) if isinstance(tensor, tf.SparseTensor) else tf.shape(tensor)[0]


def spec_of(tensor: Any, *others: Any) -> tf.TypeSpec:
    """Return the type of such tensors with any number of rows; a dimension in which they differ may have any size."""
    import tensorflow as tf

    sizes = zip(*(one.shape[1:] for one in (tensor, *others)), strict=True)
    shape = [None, *(of_one[0] if len(set(of_one)) == 1 else None for of_one in sizes)]
    if isinstance(tensor, tf.RaggedTensor):
        return tf.RaggedTensorSpec(shape, tensor.dtype, tensor.ragged_rank, tensor.row_splits.dtype)
    return (
        tf.SparseTensorSpec(shape, tensor.dtype)
        if isinstance(tensor, tf.SparseTensor)
        else tf.TensorSpec(shape, tensor.dtype)
    )


def values_of(tensor: Any) -> tf.Tensor:
    """Return all values that a tensor of any kind holds, as a dense one."""
    import tensorflow as tf

    if isinstance(tensor, tf.SparseTensor):
        return tensor.values
    return tensor.flat_values if isinstance(tensor, tf.RaggedTensor) else tensor


def is_finite(tensor: Any) -> bool:
    """Say whether no value is NaN or infinite."""
    import tensorflow as tf

    values = values_of(tensor)
    return not values.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(values)))


def as_bytes(tensor: Any) -> bytes:
    """Return the content of a tensor: equal for equal tensors, in every process."""
    import tensorflow as tf

    parts = [values_of(tensor)]
    if isinstance(tensor, tf.SparseTensor):
        parts.append(tensor.indices)
    elif isinstance(tensor, tf.RaggedTensor):
        parts += tensor.nested_row_splits
    return b"".join(
        tf.io.serialize_tensor(part).numpy() if part.dtype == tf.string else part.numpy().tobytes() for part in parts
    )


def num_bytes(tensor: Any) -> int:
    """Return how much memory the values of a tensor take."""
    import tensorflow as tf

    values = values_of(tensor)
    if values.dtype == tf.string:
        return int(tf.reduce_sum(tf.strings.length(values)))
    return int(tf.size(values)) * values.dtype.size
