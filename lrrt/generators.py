"""Make a stream of batches that Python code makes: a PyDataset, in its workers, or a generator."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.arrays import array_batches
from lrrt.conversion import as_tensor
from lrrt.parts import MAX_PARTS, Batch, as_parts, map_arrays
from lrrt.rows import spec_of
from lrrt.stream import StreamBatches

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def from_sequence(sequence: keras.utils.PyDataset, name: str) -> StreamBatches:
    num_batches: int | None = sequence.num_batches
    if num_batches == 0:
        raise ValueError(f"{name} must hold at least one batch, got a PyDataset of none.")
    firsts = [sequence[number] for number in range(1 if num_batches == 1 else 2)]

    def batches(num_steps: int, rng: np.random.Generator | None) -> Iterator[Batch]:
        """Yield every batch once in each pass, in an order of its own if there is `rng`."""
        left = num_steps
        while left > 0:
            order = range(left) if num_batches is None else np.arange(num_batches)
            if num_batches is not None and rng is not None:
                order = rng.permutation(num_batches)
            made = _fetched(sequence, order)
            yield from itertools.islice(made, len(order) - 1)
            # Who has the last batch need not ask for another, so the epoch's end is told before it; and the batch is
            # copied before that, since on_epoch_end may shuffle in place what it is a view of.
            last = _as_tensors(next(made), name)
            sequence.on_epoch_end()
            yield last
            left -= len(order)

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


def from_generator(generator: Iterator[Any], name: str) -> StreamBatches:
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
        check_batch(batch, name)
    tensors = [_as_tensors(batch, name) for batch in firsts]
    spec = keras.tree.map_structure(spec_of, *tensors)

    def open_stream(num_steps: int, rng: np.random.Generator | None) -> tf.data.Dataset:
        def cast() -> Iterator[Batch]:
            for batch in batches(num_steps, rng):
                yield keras.tree.map_structure(_cast, _as_tensors(batch, name), spec)

        return tf.data.Dataset.from_generator(cast, output_signature=spec)

    return StreamBatches(spec, open_stream, lambda: num_batches, tensors[0], name)


def _cast(tensor: Any, spec: tf.TypeSpec) -> Any:
    import tensorflow as tf

    return tensor if tensor.dtype == spec.dtype else tf.cast(tensor, spec.dtype)


def check_batch(batch: Batch, name: str) -> None:
    """Refuse a batch that is none; one of arrays is checked as data is."""
    parts = as_parts(batch)
    if not 1 <= len(parts) <= MAX_PARTS:
        raise ValueError(f"A batch of {name} must be (x,), (x, y) or (x, y, sample_weight), got {len(parts)} parts.")
    array_batches(parts, 1, name=f"the first batch of {name}")


def _as_tensors(batch: Batch, name: str) -> Batch:
    """Return a batch as `fit` hands it to a model, made of tensors."""

    def converted(part: Any) -> Any:
        return map_arrays(lambda value: as_tensor(value, name), part)

    if isinstance(batch, tuple | list):
        return tuple(converted(part) for part in as_parts(batch))
    return converted(batch)
