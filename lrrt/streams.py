"""Take data that comes in batches of its own: datasets, PyDatasets and generators."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.arrays import array_batches
from lrrt.class_weights import check_class_weight, weighted
from lrrt.conversion import as_tensor
from lrrt.parts import MAX_PARTS, Batch, as_parts
from lrrt.rows import num_bytes, spec_of

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
        return plan[0].get_next()

    def sample(self, num_samples: int) -> Batch:
        return self.first


def is_stream(data: Any) -> bool:
    """Say whether data comes in batches of its own."""
    import keras
    import tensorflow as tf

    return isinstance(data, tf.data.Dataset | keras.utils.PyDataset | Iterator)


def stream_batches(data: Any, *, name: str = "data", class_weight: Mapping[int, float] | None = None) -> StreamBatches:
    """Take data that comes in batches of its own.

    Args:
        data: a batched `tf.data.Dataset`, with an end or without; a `keras.utils.PyDataset`; or a generator of batches,
            which is read once and must last for all range tests.
        name: what messages call the data.
        class_weight: the weight of each class's samples, for labels that are class numbers or one-hot.

    Raises:
        TypeError: for a batch of an unknown kind.
        ValueError: for data without a batch, or batches that are not x, (x,), (x, y) or (x, y, sample_weight), or that
            do not fit the class weights.
    """
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        stream = _from_dataset(data, name)
    else:
        stream = _from_generator(data, name) if isinstance(data, Iterator) else _from_sequence(data, name)
    return stream if class_weight is None else _with_weights(stream, class_weight)


def _from_dataset(dataset: tf.data.Dataset, name: str) -> StreamBatches:
    import tensorflow as tf

    _check_is_batched(dataset, name)
    num_batches: int | None = int(dataset.cardinality())
    if num_batches == tf.data.UNKNOWN_CARDINALITY:
        num_batches = int(dataset.reduce(np.int64(0), lambda count, *_: count + 1))
    if num_batches == tf.data.INFINITE_CARDINALITY:
        num_batches = None
    if num_batches == 0:
        raise ValueError(f"{name} must hold at least one batch, got an empty tf.data.Dataset.")
    first = next(iter(dataset))
    _check(first, name)

    def open_stream(num_steps: int, rng: np.random.Generator | None) -> tf.data.Dataset:
        return dataset if num_batches is None or num_steps <= num_batches else dataset.repeat()

    return StreamBatches(dataset.element_spec, open_stream, num_batches, first, name)


def _check_is_batched(dataset: tf.data.Dataset, name: str) -> None:
    """Refuse a dataset of single samples, which has a scalar, or arrays whose first axes differ, in an element."""
    import keras

    shapes = [spec.shape for spec in keras.tree.flatten(dataset.element_spec)]
    sizes = {shape[0] for shape in shapes if shape.rank}
    if any(shape.rank == 0 for shape in shapes) or (None not in sizes and len(sizes) > 1):
        raise ValueError(
            f"{name} must give batches, got a tf.data.Dataset of single samples, of shapes "
            f"{', '.join(map(str, shapes))}. Call .batch(32) on it."
        )


def _from_sequence(sequence: keras.utils.PyDataset, name: str) -> StreamBatches:
    num_batches: int | None = sequence.num_batches
    if num_batches == 0:
        raise ValueError(f"{name} must hold at least one batch, got a PyDataset of none.")
    firsts = [sequence[number] for number in range(1 if num_batches == 1 else 2)]

    def batches(num_steps: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """Yield every batch once in each pass, in an order of its own where there is `rng`."""
        left = num_steps
        while left > 0:
            order = range(left) if num_batches is None else np.arange(num_batches)
            if num_batches is not None and rng is not None:
                order = rng.permutation(num_batches)
            yield from _fetched(sequence, order)
            left -= len(order)
            sequence.on_epoch_end()

    return _generated(batches, num_batches, firsts, name)


def _fetched(sequence: keras.utils.PyDataset, order: Iterable[int]) -> Iterator[Batch]:
    """Yield batches in this order; the sequence's workers make some of them ahead, in threads."""
    if sequence.workers <= 1:
        yield from (sequence[int(number)] for number in order)
        return
    num_ahead = max(sequence.workers, sequence.max_queue_size)
    with ThreadPoolExecutor(sequence.workers) as pool:
        started = (pool.submit(sequence.__getitem__, int(number)) for number in order)
        waiting = deque(itertools.islice(started, num_ahead))
        try:
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(itertools.islice(started, 1))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


def _from_generator(generator: Iterator[Any], name: str) -> StreamBatches:
    firsts = list(itertools.islice(generator, 2))
    if not firsts:
        raise ValueError(f"{name} must hold at least one batch, got a generator that has ended.")
    rest = itertools.chain(firsts, generator)

    def batches(num_steps: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        return itertools.islice(rest, num_steps)

    return replace(_generated(batches, None, firsts, name), is_read_once=True)


def _generated(
    batches: Callable[[int, np.random.Generator | None], Iterator[Batch]],
    num_batches: int | None,
    firsts: Sequence[Batch],
    name: str,
) -> StreamBatches:
    """Make a stream of what a Python generator yields.

    Batches may differ in their number of rows, and in other dimensions in which the first two of them differ.
    """
    import keras
    import tensorflow as tf

    for batch in firsts:
        _check(batch, name)
    tensors = [_as_tensors(batch, name) for batch in firsts]
    spec = keras.tree.map_structure(spec_of, *tensors)

    def open_stream(num_steps: int, rng: np.random.Generator | None) -> tf.data.Dataset:
        def cast() -> Iterator[Batch]:
            for batch in batches(num_steps, rng):
                yield keras.tree.map_structure(_cast, _as_tensors(batch, name), spec)

        return tf.data.Dataset.from_generator(cast, output_signature=spec)

    return StreamBatches(spec, open_stream, num_batches, tensors[0], name)


def _cast(tensor: Any, spec: tf.TypeSpec) -> Any:
    import tensorflow as tf

    return tensor if tensor.dtype == spec.dtype else tf.cast(tensor, spec.dtype)


def _with_weights(stream: StreamBatches, class_weight: Mapping[int, float]) -> StreamBatches:
    name = f"the first batch of {stream.name}"
    check_class_weight(class_weight, as_parts(stream.first), name)

    def weigh(*batch: Any) -> Batch:
        return weighted(batch, class_weight, stream.name)

    def open_stream(num_steps: int, rng: np.random.Generator | None) -> Any:
        return stream.open_stream(num_steps, rng).map(weigh)

    spec = open_stream(1, None).element_spec
    return replace(stream, element_spec=spec, open_stream=open_stream, first=weigh(*stream.first))


def _check(batch: Batch, name: str) -> None:
    """Refuse a batch that is none; one of arrays is checked as data is."""
    parts = as_parts(batch)
    if not 1 <= len(parts) <= MAX_PARTS:
        raise ValueError(f"A batch of {name} must be (x,), (x, y) or (x, y, sample_weight), got {len(parts)} parts.")
    array_batches(parts, 1, name=f"the first batch of {name}")


def _as_tensors(batch: Batch, name: str) -> Batch:
    """Return a batch as `fit` hands it to a model, made of tensors."""
    import keras

    batch = tuple(batch) if isinstance(batch, list) else batch
    return keras.tree.map_structure(lambda value: as_tensor(value, name), batch)


def _num_bytes(batch: Batch) -> int:
    import keras

    return sum(num_bytes(tensor) for tensor in keras.tree.flatten(batch))
