"""Train the full batches of a loop under XLA: compiled whole, for one number of steps and one batch size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrrt.arrays import ArrayBatches
from lrrt.compiled_function import CompiledFunction
from lrrt.step_loop import Rates, Trainable, train_steps, up_to_the_end

if TYPE_CHECKING:
    import tensorflow as tf

MOST_STEPS = 256  # of one call; XLA compiles for one size, and a shorter run carries the rest along


class XlaLoop:
    """The same training as a `TrainingLoop`'s, compiled by XLA as one program.

    XLA needs to know every shape. So it trains full batches only, at most `capacity` in a call; a short batch at the
    end of a pass over the data is trained by the plain graph, on the same variables.

    Args:
        loop: what is trained.
    """

    def __init__(self, loop: Trainable) -> None:
        self.loop = loop
        self._function: CompiledFunction | None = None
        self._reason: str | None = None
        self.compile_s = 0.0
        """Seconds that XLA took."""

    @property
    def reason(self) -> str:
        """Why the model cannot be trained under XLA, which compiles it to find out; "" where it can.

        Raises:
            MemoryError: where there is no room for it.
        """
        if self._reason is None:
            began = time.perf_counter()
            self._reason = self.obstacle or self._compiled()
            self.compile_s = time.perf_counter() - began
        return self._reason

    @property
    def obstacle(self) -> str:
        """What rules XLA out before it is tried; "" where nothing does."""
        import keras
        import tensorflow as tf

        batches, strategy = self.loop.batches, self.loop.model.distribute_strategy
        if not isinstance(batches, ArrayBatches):
            return "the data is not in arrays"
        parts = keras.tree.flatten(batches.arrays)
        if not all(isinstance(part, tf.Tensor) and part.dtype != tf.string for part in parts):
            return "the data is on disk, or it is text, ragged or sparse"
        if self.loop.probe is not None:
            return "validation data is monitored at its steps"
        return "the model is on several devices" if strategy.num_replicas_in_sync > 1 else ""

    @property
    def num_traces(self) -> int:
        """How often the training was traced for XLA: once, whatever is trained, or never."""
        return 0 if self._function is None else self._function.num_traces

    @property
    def capacity(self) -> int:
        """The most steps of one call."""
        batches = self.loop.batches
        assert isinstance(batches, ArrayBatches), "an obstacle otherwise"
        return min(batches.num_samples // batches.batch_size, MOST_STEPS)

    def train(self, rates: Rates, momenta: Rates, order: Any, offsets: Any) -> list[NDArray[Any]]:
        """Train as the loop's `in_graph` does, under the same conditions."""
        offsets, order = np.asarray(offsets), np.asarray(order)
        parts = []
        for begin, end, is_full in self._runs(offsets):
            run = self._full if is_full else self.loop.in_graph
            parts.append(run(rates[begin:end], momenta[begin:end], order, offsets[begin : end + 1]))
            if not np.isfinite(parts[-1][0]).all():
                break
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _runs(self, offsets: NDArray[Any]) -> Iterator[tuple[int, int, bool]]:
        """Cut steps into runs, each of full batches or of short ones: first step, step after the last, which."""
        begin = 0
        for is_full, steps in groupby(np.diff(offsets) == self.loop.batches.batch_size):
            end = begin + len(list(steps))
            for first in range(begin, end, self.capacity):
                yield first, min(first + self.capacity, end), bool(is_full)
            begin = end

    def _full(self, rates: Rates, momenta: Rates, order: NDArray[Any], offsets: NDArray[Any]) -> list[NDArray[Any]]:
        import tensorflow as tf

        num_steps = len(rates)
        index = np.zeros((self.capacity, self.loop.batches.batch_size), np.int32)
        index[:num_steps] = order[offsets[0] : offsets[-1]].reshape(num_steps, -1)
        arguments = self._padded(rates), self._padded(momenta), index, np.int32(num_steps)
        assert self._function is not None, "compiled when the reason was asked for"
        return up_to_the_end(*self._function(*map(tf.constant, arguments), num_steps=num_steps))

    def _padded(self, table: Rates) -> NDArray[np.float32]:
        padded = np.zeros(self.capacity if len(table) else 0, np.float32)
        padded[: len(table)] = table
        return padded

    def _compiled(self) -> str:
        """Compile by a run of no steps, which changes nothing; return why that failed."""
        import tensorflow as tf

        specs = [
            tf.TensorSpec([self.capacity], tf.float32),
            tf.TensorSpec([self.capacity if self.loop.momentum is not None else 0], tf.float32),
            tf.TensorSpec([self.capacity, self.loop.batches.batch_size], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
        self._function = CompiledFunction(self._steps, specs, jit=True)
        nothing = [tf.zeros(spec.shape, spec.dtype) for spec in specs]
        try:
            with self.loop.running():
                self._function(*nothing, num_steps=1)
        except MemoryError:
            raise
        except Exception as error:  # XLA reports what it lacks by errors of many kinds
            self._function = None
            return f"XLA cannot compile the model ({type(error).__name__}: {error})".splitlines()[0]
        return ""

    def _steps(self, rates: tf.Tensor, momenta: tf.Tensor, index: tf.Tensor, num_steps: tf.Tensor) -> Any:
        batches = self.loop.batches
        assert isinstance(batches, ArrayBatches), "an obstacle otherwise"
        return train_steps(self.loop, lambda step: batches.gathered(index[step]), rates, momenta, num_steps)
