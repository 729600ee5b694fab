"""Turn data that comes in batches into what the loop takes: datasets, PyDatasets, generators."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.arrays import MAX_PARTS, Batch, array_batches
from lrrt.counting import count_batches

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

KEPT_BYTES = 2**30  # of batches from a generator, for data that is trained on more than once
ITERATED_AGAIN = "Pass data that can be iterated again: arrays, a tf.data.Dataset or a keras.utils.PyDataset."


@dataclass(frozen=True, slots=True)
class StreamBatches:
    """Batches from an iterator; their size and their order are the data's own.

    `open_stream` makes a tf.data.Dataset of so many steps; `length` is the batches of an epoch, None for data without
    an end; `first` is a batch to build a model and to probe with; `is_read_once` says that each step's batch is gone
    once it is taken.
    """

    element_spec: Any
    open_stream: Callable[[int, np.random.Generator | None], Any]
    length: int | None
    first: Batch
    name: str
    is_read_once: bool = False

    @property
    def batch_size(self) -> int:
        return 0

    @property
    def num_batches(self) -> int:
        if self.length is None:
            raise ValueError(
                f"{self.name} must end for a training by epochs, got data without an end. Say how long an epoch is, "
                "with .take(n) on a tf.data.Dataset; a generator cannot say."
            )
        return self.length

    @property
    def signature(self) -> tuple[Any, ...]:
        import tensorflow as tf

        return (tf.data.IteratorSpec(self.element_spec),)

    def plan(self, num_steps: int, rng: np.random.Generator | None) -> tuple[Any, ...]:
        """Return an iterator over so many steps."""
        return (iter(self.open_stream(num_steps, rng)),)

    def plans(self, sizes: Sequence[int], rng: np.random.Generator | None) -> list[tuple[Any, ...]]:
        """Return one iterator for all parts: each goes on where the one before ended."""
        return [self.plan(sum(sizes), rng)] * len(sizes)

    def repeatable(self, num_steps: int) -> StreamBatches:
        """Return the same, or, where batches are read once, the next `num_steps` of them, kept in memory.

        Raises:
            ValueError: where the data ends before, or these batches need more than a gibibyte.
        """
        import tensorflow as tf

        if not self.is_read_once:
            return self
        num_bytes = num_steps * _num_bytes(self.first)
        if num_bytes > KEPT_BYTES:
            raise ValueError(
                f"Batches of {self.name} trained on at several rates must fit into {KEPT_BYTES:.1e} bytes, got "
                f"{num_steps} batches of {num_bytes:.1e} bytes from a generator. {ITERATED_AGAIN}"
            )
        kept = list(self.open_stream(num_steps, None))
        if len(kept) < num_steps:
            raise ValueError(
                f"{self.name} must last for {num_steps} more steps, but it ended after {len(kept)}. {ITERATED_AGAIN}"
            )

        def open_kept(num_steps: int, rng: np.random.Generator | None) -> tf.data.Dataset:
            return tf.data.Dataset.from_generator(lambda: iter(kept[:num_steps]), output_signature=self.element_spec)

        return replace(self, open_stream=open_kept, is_read_once=False)

    def take(self, step: tf.Tensor, *plan: Any) -> Batch:
        return _as_parts(plan[0].get_next())

    def sample(self, num_samples: int) -> Batch:
        return self.first


def is_stream(data: Any) -> bool:
    """Say whether data comes in batches of its own."""
    import keras
    import tensorflow as tf

    return isinstance(data, tf.data.Dataset | keras.utils.PyDataset | Iterator)


def stream_batches(data: Any, *, name: str = "data") -> StreamBatches:
    """Take data that comes in batches of its own.

    Args:
        data: a batched `tf.data.Dataset`, with an end or without; a `keras.utils.PyDataset`; or a generator of batches,
            which is read once and must last for all range tests.
        name: what messages call the data.

    Raises:
        TypeError: for a batch of an unknown kind.
        ValueError: for data without a batch, or batches that are not (x,), (x, y) or (x, y, sample_weight).
    """
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        return _from_dataset(data, name)
    return _from_generator(data, name) if isinstance(data, Iterator) else _from_sequence(data, name)


def _from_dataset(dataset: tf.data.Dataset, name: str) -> StreamBatches:
    import tensorflow as tf

    num_batches: int | None = int(dataset.cardinality())
    if num_batches == tf.data.UNKNOWN_CARDINALITY:
        num_batches = count_batches(dataset, name)
    if num_batches == tf.data.INFINITE_CARDINALITY:
        num_batches = None
    if num_batches == 0:
        raise ValueError(f"{name} must hold at least one batch, got an empty tf.data.Dataset.")
    first = _checked(next(iter(dataset)), name)

    def open_stream(num_steps: int, rng: np.random.Generator | None) -> tf.data.Dataset:
        return dataset if num_batches is None or num_steps <= num_batches else dataset.repeat()

    return StreamBatches(dataset.element_spec, open_stream, num_batches, first, name)


def _from_sequence(sequence: keras.utils.PyDataset, name: str) -> StreamBatches:
    num_batches: int | None = sequence.num_batches
    if num_batches == 0:
        raise ValueError(f"{name} must hold at least one batch, got a PyDataset of none.")
    first = _checked(sequence[0], name)

    def batches(num_steps: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """Yield every batch once in each pass, in an order of its own where there is `rng`."""
        left = num_steps
        while left > 0:
            order = range(left) if num_batches is None else np.arange(num_batches)
            for number in order if num_batches is None or rng is None else rng.permutation(num_batches):
                yield _as_parts(sequence[int(number)])
            left -= len(order)
            sequence.on_epoch_end()

    return _generated(batches, num_batches, first, name)


def _from_generator(generator: Iterator[Any], name: str) -> StreamBatches:
    try:
        first = _checked(next(generator), name)
    except StopIteration:
        raise ValueError(f"{name} must hold at least one batch, got a generator that has ended.") from None
    rest = itertools.chain([first], generator)

    def batches(num_steps: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        for batch in itertools.islice(rest, num_steps):
            yield _as_parts(batch)

    return replace(_generated(batches, None, first, name), is_read_once=True)


def _generated(
    batches: Callable[[int, np.random.Generator | None], Iterator[Batch]],
    num_batches: int | None,
    first: Batch,
    name: str,
) -> StreamBatches:
    """Make a stream of what a Python generator yields; batches may differ in their number of rows."""
    import keras
    import tensorflow as tf

    def spec_of(array: Any) -> tf.TensorSpec:
        return tf.TensorSpec([None, *array.shape[1:]], array.dtype)

    spec = keras.tree.map_structure(spec_of, first)

    def open_stream(num_steps: int, rng: np.random.Generator | None) -> tf.data.Dataset:
        def cast() -> Iterator[Batch]:
            for batch in batches(num_steps, rng):
                yield keras.tree.map_structure(lambda value, like: np.asarray(value, like.dtype.name), batch, first)

        return tf.data.Dataset.from_generator(cast, output_signature=spec)

    return StreamBatches(spec, open_stream, num_batches, first, name)


def _checked(batch: Any, name: str) -> Batch:
    """Return a first batch as tensors, having refused what is none; a batch of arrays is checked as data is."""
    parts = _as_parts(batch)
    if not 1 <= len(parts) <= MAX_PARTS:
        raise ValueError(f"A batch of {name} must be (x,), (x, y) or (x, y, sample_weight), got {len(parts)} parts.")
    return array_batches(parts, 1, name=f"the first batch of {name}").arrays


def _num_bytes(batch: Batch) -> int:
    import keras

    return sum(tensor.shape.num_elements() * tensor.dtype.size for tensor in keras.tree.flatten(batch))


def _as_parts(batch: Any) -> Batch:
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)
