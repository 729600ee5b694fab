"""Turn arrays into batches: kept on the device, gathered by a shuffled index."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

Batch = tuple[Any, ...]  # (x,), (x, y) or (x, y, sample_weight)
MAX_PARTS = 3
TEXT_KINDS = "SU"  # of a NumPy dtype


@dataclass(frozen=True, slots=True)
class ArrayBatches:
    """Arrays kept on the device and gathered by a shuffled index; an epoch takes each sample once.

    Each pass over the data is shuffled anew and ends with a short batch where the batch size does not divide it.
    """

    arrays: Batch
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

    def plans(self, sizes: Sequence[int], rng: np.random.Generator | None) -> list[tuple[Any, ...]]:
        """Return the plan of one run in parts: they share its order."""
        order, offsets = self.plan(sum(sizes), rng)
        ends = np.cumsum(sizes)
        return [(order, offsets[end - size : end + 1]) for size, end in zip(sizes, ends, strict=True)]

    def repeatable(self, num_steps: int) -> ArrayBatches:
        return self

    def take(self, step: tf.Tensor, *plan: Any) -> Batch:
        import keras
        import tensorflow as tf

        order, offsets = plan
        index = order[offsets[step] : offsets[step + 1]]
        batch: Batch = keras.tree.map_structure(lambda array: tf.gather(array, index), self.arrays)
        return batch

    def sample(self, num_samples: int) -> Batch:
        import keras

        batch: Batch = keras.tree.map_structure(lambda array: array[:num_samples], self.arrays)
        return batch

    def with_batch_size(self, batch_size: int, *, name: str = "data") -> ArrayBatches:
        """Return the same arrays, shared on the device, in batches of another size."""
        check_batch_size(batch_size, self.num_samples, name)
        return replace(self, batch_size=batch_size)


def array_batches(
    data: Any, batch_size: int, *, name: str = "data", class_weight: Mapping[int, float] | None = None
) -> ArrayBatches:
    """Put arrays on the device.

    Args:
        data: x alone, or a tuple (x,), (x, y) or (x, y, sample_weight), each an array or a dict or tuple of arrays.
        batch_size: samples a batch.
        name: what messages call the data.
        class_weight: the weight of each class's samples, for labels that are class numbers or one-hot.

    Raises:
        TypeError: for what is not made of arrays with one row a sample.
        ValueError: for empty data, parts of different lengths, values that are not finite, fewer samples than a batch,
            or class weights that do not fit the labels.
    """
    import keras
    import tensorflow as tf

    parts = tuple(data) if isinstance(data, tuple | list) else (data,)
    parts = parts[:-1] if len(parts) == MAX_PARTS and parts[-1] is None else parts
    if not 1 <= len(parts) <= MAX_PARTS:
        raise ValueError(f"{name} must be (x,), (x, y) or (x, y, sample_weight), got {len(parts)} parts.")
    arrays = keras.tree.map_structure(lambda value: _as_array(value, name), _as_tuples(parts))
    for labels in keras.tree.flatten(arrays[1:]):
        if labels.dtype.kind in TEXT_KINDS:
            raise TypeError(f"Labels and weights of {name} must be numbers, got text: {labels.flat[0]!r:.80}.")
    num_samples = _count_samples(keras.tree.flatten(arrays), name)
    check_batch_size(batch_size, num_samples, name)
    if class_weight is not None:
        arrays = _weighted(arrays, class_weight, name)
    return ArrayBatches(keras.tree.map_structure(tf.constant, arrays), num_samples, batch_size)


def check_batch_size(batch_size: int, num_samples: int, name: str) -> None:
    """Refuse a batch size that is no count, or larger than the data.

    Raises:
        ValueError: saying so.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a whole number >= 1, got {batch_size!r}.")
    if batch_size > num_samples:
        raise ValueError(
            f"`batch_size` must not exceed the samples of {name}, got batch_size={batch_size} for {num_samples} "
            "samples. Lower the batch size."
        )


def _weighted(arrays: Batch, class_weight: Mapping[int, float], name: str) -> Batch:
    """Turn class weights into sample weights, multiplied with those that are there."""
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"`class_weight` must be {{class: weight}}, got {class_weight!r:.80}.")
    if len(arrays) == 1 or isinstance(arrays[1], dict | tuple):
        raise ValueError(f"`class_weight` must be given with labels in one array, {name} has none.")
    labels = arrays[1].argmax(axis=-1) if arrays[1].ndim > 1 and arrays[1].shape[-1] > 1 else arrays[1].reshape(-1)
    missing = sorted(set(np.unique(labels).tolist()) - set(class_weight))
    if missing:
        raise ValueError(f"`class_weight` must have a weight for each class of {name}, got none for {missing}.")
    weights = np.array([class_weight[label] for label in labels.tolist()], "float32")
    return (*arrays[:2], weights * arrays[2] if len(arrays) == MAX_PARTS else weights)


def _as_tuples(parts: Batch) -> Batch:
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
