"""Knows how data of any accepted kind becomes the batches that the compiled loop takes inside its graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

Data = Any  # arrays, dict or tuple of arrays, tf.data.Dataset
MAX_PARTS = 3  # x, y, sample_weight


class Batches(Protocol):
    """Batches of one size, cycled as long as asked; `take` runs inside the graph."""

    @property
    def num_batches(self) -> int:
        """Batches in one epoch."""

    @property
    def signature(self) -> tuple[Any, ...]:
        """The types of what `plan` returns, so that no plan makes the loop trace again."""

    def plan(self, num_steps: int, rng: np.random.Generator | None) -> tuple[Any, ...]:
        """Return what the loop needs to take `num_steps` batches; shuffled by `rng`, in order where it is None."""

    def take(self, step: tf.Tensor, *plan: Any) -> tuple[Any, ...]:
        """Return batch number `step` of a plan: (x,), (x, y) or (x, y, sample_weight)."""

    def sample(self) -> tuple[Any, ...]:
        """Return a small batch to build a model with."""


@dataclass(frozen=True, slots=True)
class ArrayBatches:
    """Arrays kept on the device and gathered by a shuffled index; an epoch takes each sample once.

    Each pass over the data is shuffled anew and ends with a short batch where the batch size does not divide it.
    """

    arrays: tuple[Any, ...]
    num_samples: int
    batch_size: int

    @property
    def num_batches(self) -> int:
        return math.ceil(self.num_samples / self.batch_size)

    @property
    def signature(self) -> tuple[Any, ...]:
        import tensorflow as tf

        return tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.int32)

    def plan(self, num_steps: int, rng: np.random.Generator | None) -> tuple[Any, ...]:
        """Return the order of the samples and the offset at which each batch begins, the end included."""
        import tensorflow as tf

        num_passes = math.ceil(num_steps / self.num_batches)
        one_pass = np.arange(self.num_samples, dtype=np.int32)
        order = np.concatenate([one_pass if rng is None else rng.permutation(one_pass) for _ in range(num_passes)])
        starts = np.arange(self.num_batches, dtype=np.int32) * self.batch_size
        offsets = np.concatenate([starts + number * self.num_samples for number in range(num_passes)])
        offsets = np.append(offsets, num_passes * self.num_samples)[: num_steps + 1]
        return tf.constant(order[: offsets[-1]], tf.int32), tf.constant(offsets, tf.int32)

    def take(self, step: tf.Tensor, *plan: Any) -> tuple[Any, ...]:
        import keras
        import tensorflow as tf

        order, offsets = plan
        index = order[offsets[step] : offsets[step + 1]]
        batch: tuple[Any, ...] = keras.tree.map_structure(lambda array: tf.gather(array, index), self.arrays)
        return batch

    def sample(self) -> tuple[Any, ...]:
        import keras

        batch: tuple[Any, ...] = keras.tree.map_structure(lambda array: array[:2], self.arrays)
        return batch


@dataclass(frozen=True, slots=True)
class DatasetBatches:
    """A batched tf.data.Dataset, whose own shuffling and batch size hold; an epoch is one iteration of it."""

    dataset: Any
    num_batches: int

    @property
    def signature(self) -> tuple[Any, ...]:
        import tensorflow as tf

        return (tf.data.IteratorSpec(self.dataset.element_spec),)

    def plan(self, num_steps: int, rng: np.random.Generator | None) -> tuple[Any, ...]:
        """Return an iterator, over a repeated dataset where the steps outlast an epoch; `rng` has no part in it."""
        return (iter(self.dataset if num_steps <= self.num_batches else self.dataset.repeat()),)

    def take(self, step: tf.Tensor, *plan: Any) -> tuple[Any, ...]:
        batch = plan[0].get_next()
        return tuple(batch) if isinstance(batch, tuple | list) else (batch,)

    def sample(self) -> tuple[Any, ...]:
        batch = next(iter(self.dataset))
        return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def as_batches(data: Data, batch_size: int, *, name: str = "data") -> Batches:
    """Turn data of any accepted kind into batches.

    Args:
        data: a tuple (x,), (x, y) or (x, y, sample_weight), each an array or a dict or tuple of arrays with one row a
            sample; x alone; or a batched `tf.data.Dataset` of the same.
        batch_size: samples a batch; a dataset brings its own.
        name: what messages call the data.

    Raises:
        TypeError: for data of another kind.
        ValueError: for empty data, parts of different lengths, values that are not finite, or fewer samples than a
            batch.
    """
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        return _dataset_batches(data, name)
    if data is None or isinstance(data, str | bytes | int | float | Iterator):
        raise TypeError(f"{name} must be arrays (x, y) or a batched tf.data.Dataset, got {type(data).__name__}.")
    return _array_batches(data, batch_size, name)


def with_batch_size(batches: Batches, batch_size: int, *, name: str = "data") -> Batches:
    """Return the same data in batches of another size; the arrays on the device are shared."""
    if not isinstance(batches, ArrayBatches) or batches.batch_size == batch_size:
        return batches
    _check_batch_size(batch_size, batches.num_samples, name)
    return replace(batches, batch_size=batch_size)


def _dataset_batches(dataset: tf.data.Dataset, name: str) -> DatasetBatches:
    import tensorflow as tf

    num_batches = int(dataset.cardinality())
    if num_batches == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"{name} must end, got an infinite tf.data.Dataset. Say how long an epoch is with .take(n).")
    if num_batches == tf.data.UNKNOWN_CARDINALITY:
        num_batches = int(dataset.reduce(np.int64(0), lambda count, *_: count + 1))
    if num_batches == 0:
        raise ValueError(f"{name} must hold at least one batch, got an empty tf.data.Dataset.")
    return DatasetBatches(dataset, num_batches)


def _array_batches(data: Any, batch_size: int, name: str) -> ArrayBatches:
    import keras
    import tensorflow as tf

    parts = tuple(data) if isinstance(data, tuple | list) else (data,)
    if not 1 <= len(parts) <= MAX_PARTS:
        raise ValueError(f"{name} must be (x,), (x, y) or (x, y, sample_weight), got {len(parts)} parts.")
    arrays = keras.tree.map_structure(lambda value: _as_array(value, name), _as_tuples(parts))
    num_samples = _count_samples(keras.tree.flatten(arrays), name)
    _check_batch_size(batch_size, num_samples, name)
    return ArrayBatches(keras.tree.map_structure(tf.constant, arrays), num_samples, batch_size)


def _as_tuples(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the parts with lists of numbers made arrays, and lists of arrays made tuples."""
    return tuple(
        (tuple(part) if _holds_arrays(part) else np.asarray(part)) if isinstance(part, list) else part for part in parts
    )


def _holds_arrays(part: Sequence[Any]) -> bool:
    return any(hasattr(item, "shape") and len(item.shape) > 0 for item in part)


def _as_array(value: Any, name: str) -> np.ndarray[Any, Any]:
    import keras

    array = np.asarray(value)
    if array.ndim == 0 or array.dtype == object:
        raise TypeError(f"{name} must hold arrays with one row a sample, got {type(value).__name__}: {value!r:.80}.")
    if np.issubdtype(array.dtype, np.floating):
        broken = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
        if len(broken):
            raise ValueError(
                f"{name} must be finite, got NaN or infinity in {len(broken)} of {len(array)} samples, first in sample "
                f"{broken[0]}. Drop or fill those samples."
            )
        return array.astype(keras.config.floatx(), copy=False)
    return array


def _count_samples(arrays: list[np.ndarray[Any, Any]], name: str) -> int:
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) != 1:
        raise ValueError(f"All parts of {name} must have one length, got {', '.join(map(str, lengths))} samples.")
    if lengths[0] == 0:
        raise ValueError(f"{name} must not be empty, got 0 samples.")
    return lengths[0]


def _check_batch_size(batch_size: int, num_samples: int, name: str) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a whole number >= 1, got {batch_size!r}.")
    if batch_size > num_samples:
        raise ValueError(
            f"`batch_size` must not exceed the samples of {name}, got batch_size={batch_size} for {num_samples} "
            "samples. Lower the batch size."
        )
