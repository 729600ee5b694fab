"""Batches that an iterator gives, one after the other: of their own size and in their own order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.parts import Batch
from lrrt.rows import num_bytes

if TYPE_CHECKING:
    import tensorflow as tf

KEPT_BYTES = 2**30  # of batches from a generator, for data that is trained on more than once
ITERATED_AGAIN = "Pass data that can be iterated again: arrays, a tf.data.Dataset or a keras.utils.PyDataset."


@dataclass(frozen=True, slots=True)
class StreamBatches:
    """Batches from an iterator; their size and their order are the data's own.

    `open_stream` makes a tf.data.Dataset of so many steps. `count` returns the batches of an epoch, None for data
    without an end; it may have to read all of the data. `first` is a batch to build a model and to probe with.
    `is_read_once` says that each step's batch is gone once it is taken.
    """

    element_spec: Any
    open_stream: Callable[[int, np.random.Generator | None], Any]
    count: Callable[[], int | None]
    first: Batch
    name: str
    is_read_once: bool = False

    @property
    def batch_size(self) -> int:
        return 0

    @property
    def num_batches(self) -> int:
        length = self.count()
        if length is None:
            raise ValueError(
                f"{self.name} must end for a training by epochs, got data without an end. Set steps_per_epoch, after "
                "which the next epoch goes on; of validation data pass a part, with .take(n) on a tf.data.Dataset."
            )
        return length

    @property
    def signature(self) -> tuple[Any, ...]:
        import tensorflow as tf

        return (tf.data.IteratorSpec(self.element_spec),)

    def plan(self, num_steps: int, rng: np.random.Generator | None) -> tuple[Any, ...]:
        """Return an iterator over so many steps."""
        return (iter(self.open_stream(num_steps, rng)),)

    def plans(self, sizes: Sequence[int], rng: np.random.Generator | None, *, begin: int = 0) -> list[tuple[Any, ...]]:
        """Return one iterator for all parts: each goes on where the one before ended."""
        num_taken = 0 if self.is_read_once else sum(sizes[:begin])
        return [(iter(self.open_stream(sum(sizes), rng).skip(num_taken)),)] * len(sizes)

    def repeatable(self, num_steps: int) -> StreamBatches:
        """Return the same, or, if batches are read once, the next `num_steps` of them, kept in memory.

        Raises:
            ValueError: if the data ends before, or these batches need more than a gibibyte.
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
        batches = list(self.open_stream(num_steps, None))
        if len(batches) < num_steps:
            raise ValueError(
                f"{self.name} must last for {num_steps} more steps, but it ended after {len(batches)}. {ITERATED_AGAIN}"
            )

        def open_again(num_steps: int, rng: np.random.Generator | None) -> tf.data.Dataset:
            return tf.data.Dataset.from_generator(lambda: iter(batches[:num_steps]), output_signature=self.element_spec)

        return replace(self, open_stream=open_again, is_read_once=False)

    def take(self, step: tf.Tensor, *plan: Any) -> Batch:
        return plan[0].get_next()

    def sample(self, num_samples: int) -> Batch:
        return self.first


def _num_bytes(batch: Batch) -> int:
    import keras

    return sum(num_bytes(tensor) for tensor in keras.tree.flatten(batch))
