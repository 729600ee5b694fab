"""Compile a run of a loop as one program of XLA: its full batches, a short one after them, and what ends an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrrt.arrays import ArrayBatches
from lrrt.compiled_function import CompiledFunction
from lrrt.step_loop import Rates, Trainable, train_steps
from lrrt.validation_loop import Sums, evaluated, no_sums

if TYPE_CHECKING:
    import tensorflow as tf

MOST_STEPS = 256  # of one call; XLA compiles for one size, and a shorter run carries the rest along


def capacity_of(batches: ArrayBatches) -> int:
    """Return the most full batches of one call."""
    return min(batches.num_samples // batches.batch_size, MOST_STEPS)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a run that is one call: full batches and then at most one short batch.

    `begins` says that an epoch begins with it, and `ends` that one ends with it and is validated.
    """

    first_step: int
    num_full: int
    num_short: int
    begins: bool = False
    ends: bool = False

    @property
    def end(self) -> int:
        """The step after the last."""
        return self.first_step + self.num_full + self.num_short


class XlaProgram:
    """One compiled function for runs of any length up to its capacity, on the loop's variables.

    Args:
        loop: what is trained, on arrays.
        validates: whether an epoch's metrics and its validation are a part of the program.
    """

    def __init__(self, loop: Trainable, *, validates: bool) -> None:
        import tensorflow as tf

        batches = loop.batches
        assert isinstance(batches, ArrayBatches), "an obstacle otherwise"
        self.loop, self.validates, self._batches = loop, validates, batches
        self.capacity = capacity_of(batches)
        self._num_momenta = 0 if loop.momentum is None else self.capacity + 1
        self._full_samples = self.capacity * batches.batch_size
        self._num_indices = self._full_samples + batches.num_samples % batches.batch_size
        self._function = CompiledFunction(
            self._run,
            [
                tf.TensorSpec([self.capacity + 1], tf.float32),
                tf.TensorSpec([self._num_momenta], tf.float32),
                tf.TensorSpec([self._num_indices], tf.int32),
                tf.TensorSpec([4], tf.int32),
            ],
            jit=True,
        )

    @property
    def num_traces(self) -> int:
        """How often it was traced: once, whatever is trained."""
        return self._function.num_traces

    def compile(self) -> None:
        """Compile by a run of no steps, which changes nothing; raises what XLA does."""
        nothing = np.zeros(0, np.float32)
        self(Part(0, 0, 0), nothing, nothing, np.zeros(0, np.int64))

    def __call__(
        self, part: Part, rates: Rates, momenta: Rates, index: NDArray[Any]
    ) -> tuple[list[NDArray[Any]], tuple[Any, Any, Any]]:
        """Train a part of a run.

        Args:
            part: of the run.
            rates: of its steps.
            momenta: of its steps; empty if the loop has no variable for it.
            index: its samples, in the order of its batches.

        Returns:
            What each step showed; and of an epoch that ends, the metrics of its training, the mean loss and penalty of
            its validation, and the metrics of that.
        """
        import tensorflow as tf

        samples = np.zeros(self._num_indices, np.int32)
        cut = part.num_full * self._batches.batch_size
        samples[:cut] = index[:cut]
        if part.num_short:
            samples[self._full_samples :] = index[cut:]
        counts = np.array([part.num_full, part.num_short, part.begins, part.ends], np.int32)
        tables = (
            self._padded(table, part, size)
            for table, size in ((rates, self.capacity + 1), (momenta, self._num_momenta))
        )
        num_steps = max(1, part.num_full + part.num_short)
        steps, num_trained, *epoch = self._function(*map(tf.constant, (*tables, samples, counts)), num_steps=num_steps)
        num_full, num_short = num_trained.numpy()
        read = (values.numpy() for values in steps)
        recorded = [
            np.concatenate([values[:num_full], values[self.capacity : self.capacity + num_short]]) for values in read
        ]
        return recorded, tuple(epoch)

    def _padded(self, table: Rates, part: Part, size: int) -> NDArray[np.float32]:
        padded = np.zeros(size, np.float32)
        padded[: part.num_full] = table[: part.num_full]
        if part.num_short and size:
            padded[-1] = table[part.num_full]
        return padded

    def _run(self, rates: tf.Tensor, momenta: tf.Tensor, index: tf.Tensor, counts: tf.Tensor) -> Any:
        import tensorflow as tf

        loop, size = self.loop, self._batches.batch_size
        num_full, num_short, begins, ends = (counts[place] for place in range(4))
        if self.validates:
            tf.cond(begins > 0, loop.metrics.forgotten, lambda: 0)
        full = tf.reshape(index[: self._full_samples], [self.capacity, size])
        *steps, num_trained = train_steps(
            loop,
            lambda step: self._batches.gathered(full[step]),
            rates[: self.capacity],
            momenta[: self.capacity],
            num_full,
        )
        is_finite, num_added = tf.reduce_all(tf.math.is_finite(steps[0])), tf.constant(0)
        if self._num_indices > self._full_samples:
            *added, num_added = train_steps(
                loop,
                lambda step: self._batches.gathered(index[self._full_samples :]),
                rates[self.capacity :],
                momenta[self.capacity :],
                tf.where(is_finite, num_short, 0),
            )
            is_finite &= tf.reduce_all(tf.math.is_finite(added[0]))
            steps = [tf.concat(pair, 0) for pair in zip(steps, added, strict=True)]
        done = tf.stack([num_trained, num_added])
        if not self.validates:
            return steps, done
        training = loop.metrics.read()
        total, penalties, count = tf.cond((ends > 0) & is_finite, self._validated, no_sums)
        return steps, done, training, (total / count, penalties / count), loop.metrics.read()

    def _validated(self) -> Sums:
        """Evaluate the validation data, a batch after the other."""
        import tensorflow as tf

        loop = self.loop
        batches = loop.validation
        assert isinstance(batches, ArrayBatches), "it is not validated otherwise"
        loop.metrics.forgotten()
        size = batches.batch_size
        num_full, rest = divmod(batches.num_samples, size)
        sums = evaluated(
            loop.model, loop.metrics, lambda step: batches.gathered(step * size + tf.range(size)), num_full, no_sums()
        )
        if not rest:
            return sums
        last = tf.range(num_full * size, batches.num_samples)
        return evaluated(loop.model, loop.metrics, lambda step: batches.gathered(last), 1, sums)
