"""Make batches of arrays: on the device, or on disk where they were; each batch is gathered by a shuffled index."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.class_weights import check_class_weight, weighted
from lrrt.conversion import as_rows
from lrrt.parts import MAX_PARTS, Batch, as_batch, as_parts, map_arrays
from lrrt.rows import DiskRows, gather, spec_of, values_of

if TYPE_CHECKING:
    import tensorflow as tf


MAX_LENGTHS = 4  # that a message shows


@dataclass(frozen=True, slots=True)
class ArrayBatches:
    """Arrays that are gathered by a shuffled index; an epoch takes each sample once.

    Each pass over the data is shuffled anew and ends with a short batch if the batch size does not divide it.
    `arrays` is x, x and y, or x, y and weights, each made of what `as_rows` returns. `keeps_order` is for models that
    remember the batch before: every pass then has the order of the arrays.
    """

    arrays: tuple[Any, ...]
    num_samples: int
    batch_size: int
    keeps_order: bool = False

    @property
    def num_batches(self) -> int:
        return math.ceil(self.num_samples / self.batch_size)

    @property
    def signature(self) -> tuple[Any, ...]:
        import tensorflow as tf

        # On a GPU, TensorFlow holds int32 in host memory: right for offsets, but an index would be copied each step.
        return tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.int32)

    @property
    def element_spec(self) -> Any:
        import keras

        return keras.tree.map_structure(spec_of, self.sample(1))

    def plan(self, num_steps: int, rng: np.random.Generator | None) -> tuple[Any, ...]:
        """Return the order of the samples and the offset at which each batch begins, the end included."""
        import tensorflow as tf

        num_passes = math.ceil(num_steps / self.num_batches)
        one_pass = np.arange(self.num_samples, dtype=np.int64)
        order = np.concatenate(
            [one_pass if rng is None or self.keeps_order else rng.permutation(one_pass) for _ in range(num_passes)]
        )
        starts = np.arange(self.num_batches, dtype=np.int32) * self.batch_size
        offsets = np.concatenate([starts + number * self.num_samples for number in range(num_passes)])
        offsets = np.append(offsets, num_passes * self.num_samples)[: num_steps + 1]
        return tf.constant(order[: offsets[-1]], tf.int64), tf.constant(offsets, tf.int32)

    def plans(self, sizes: Sequence[int], rng: np.random.Generator | None, *, begin: int = 0) -> list[tuple[Any, ...]]:
        """Return the plan of one run in parts: they share its order."""
        order, offsets = self.plan(sum(sizes), rng)
        ends = np.cumsum(sizes)
        return [(order, offsets[end - size : end + 1]) for size, end in zip(sizes, ends, strict=True)]

    def repeatable(self, num_steps: int) -> ArrayBatches:
        return self

    def take(self, step: tf.Tensor, *plan: Any) -> Batch:
        order, offsets = plan
        return self.gathered(order[offsets[step] : offsets[step + 1]])

    def sample(self, num_samples: int) -> Batch:
        return self.gathered(np.arange(min(num_samples, self.num_samples)))

    def with_batch_size(self, batch_size: int, *, name: str = "data") -> ArrayBatches:
        """Return the same arrays, shared on the device, in batches of another size."""
        check_batch_size(batch_size, self.num_samples, name)
        return replace(self, batch_size=batch_size)

    def gathered(self, index: Any) -> Batch:
        """Return the batch of these samples."""
        import keras

        return as_batch(keras.tree.map_structure(lambda array: gather(array, index), self.arrays))


def array_batches(
    data: Any, batch_size: int, *, name: str = "data", class_weight: Mapping[int, float] | None = None
) -> ArrayBatches:
    """Put arrays on the device; a `numpy.memmap` stays on disk.

    Args:
        data: x alone, or a tuple (x,), (x, y) or (x, y, sample_weight), each an array or a dict or tuple of arrays, of
            numbers or of text.
        batch_size: samples a batch.
        name: what messages call the data.
        class_weight: the weight of each class's samples, for labels that are class numbers or one-hot; or of its
            pixels, for images of such labels.

    Raises:
        TypeError: for what is not made of arrays with one row a sample.
        ValueError: for empty data, parts of different lengths, values that are not finite, fewer samples than a batch,
            or class weights that do not fit the labels.
    """
    import keras
    import tensorflow as tf

    parts = as_parts(data)
    if not 1 <= len(parts) <= MAX_PARTS:
        raise ValueError(f"{name} must be (x,), (x, y) or (x, y, sample_weight), got {len(parts)} parts.")
    arrays = tuple(map_arrays(lambda value: as_rows(value, name), part) for part in parts)
    for labels in keras.tree.flatten(arrays[1:]):
        if labels.dtype == tf.string:
            raise TypeError(
                f"Labels and weights of {name} must be numbers, got text: {_first_of(labels)!r:.80}. Number the "
                "classes, such as with numpy.unique(labels, return_inverse=True)[1]."
            )
    num_samples = _count_samples(arrays, name)
    if len(arrays) == MAX_PARTS and not any(
        np.any(weights) for weights in keras.tree.flatten(_with_labels(arrays)[2:])
    ):
        raise ValueError(f"The sample weights of {name} must not all be 0, since nothing would be learned from it.")
    check_batch_size(batch_size, num_samples, name)
    if class_weight is not None:
        check_class_weight(class_weight, _with_labels(arrays), name)
        arrays = (arrays[0], *weighted(_with_labels(arrays), class_weight, name)[1:])
    return ArrayBatches(arrays, num_samples, batch_size)


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


def _count_samples(arrays: tuple[Any, ...], name: str) -> int:
    import keras

    lengths = [int(rows.shape[0]) for rows in keras.tree.flatten(arrays)]
    if len(set(lengths)) != 1:
        shown = lengths if len(lengths) <= MAX_LENGTHS else list(dict.fromkeys(lengths))[:MAX_LENGTHS]
        raise ValueError(
            f"All parts of {name} must have one length, got {', '.join(map(str, shown))} samples.{_remedy(arrays)}"
        )
    if lengths[0] == 0:
        raise ValueError(f"{name} must not be empty, got 0 samples.")
    return lengths[0]


def _remedy(arrays: tuple[Any, ...]) -> str:
    """Say what to pass if the data looks like that of `keras.datasets`, or like a list of samples."""
    counts = [len(part) for part in arrays if isinstance(part, tuple)]
    if counts == [2, 2]:
        return " Of (x, y), (x_test, y_test), pass one pair as data."
    are_samples = max(counts, default=0) in {
        int(rows.shape[0]) for rows in arrays if not isinstance(rows, tuple | dict)
    }
    return (
        " A list of arrays is one array for each input; of one for each sample, pass numpy.stack."
        if are_samples
        else ""
    )


def _with_labels(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arrays with labels and weights in memory."""
    in_memory = [rows.gather(np.arange(rows.shape[0])) if isinstance(rows, DiskRows) else rows for rows in arrays[1:]]
    return (arrays[0], *in_memory)


def _first_of(tensor: Any) -> str:
    return str(values_of(tensor).numpy().flat[0].decode())
