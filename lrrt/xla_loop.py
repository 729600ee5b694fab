"""Train a loop under XLA, by one compiled program for one batch size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrrt.arrays import ArrayBatches
from lrrt.recorded_steps import Epoch, Steps
from lrrt.step_loop import Rates, Trainable, up_to_what_breaks
from lrrt.xla_program import Part, XlaProgram, capacity_of


class XlaLoop:
    """The same training as a `TrainingLoop`'s, compiled by XLA as one program.

    XLA needs to know every shape. So one call trains full batches, at most `capacity`, and then a short one if a pass
    over the data ends with it.

    Args:
        loop: what is trained.
    """

    def __init__(self, loop: Trainable) -> None:
        self.loop = loop
        self._program: XlaProgram | None = None
        self._reason: str | None = None
        self.compile_s = 0.0
        """Seconds that XLA took."""

    @property
    def reason(self) -> str:
        """Why the model cannot be trained under XLA, which compiles it to find out; "" if it can.

        Raises:
            MemoryError: if there is no room for it.
        """
        if self._reason is None:
            began = time.perf_counter()
            self._reason = self.obstacle or self._compiled()
            self.compile_s = time.perf_counter() - began
        return self._reason

    @property
    def obstacle(self) -> str:
        """What rules XLA out before it is tried; "" if nothing does."""
        if not isinstance(self.loop.batches, ArrayBatches):
            return "the data is not in arrays"
        if not _is_on_device(self.loop.batches):
            return "the data is on disk, or it is text, ragged or sparse"
        if self.loop.probe is not None:
            return "validation data is monitored at its steps"
        return "the model is on several devices" if self.loop.model.distribute_strategy.num_replicas_in_sync > 1 else ""

    @property
    def validates(self) -> bool:
        """Whether XLA has compiled the validation and the metrics too, so that it can train whole epochs."""
        return self._program is not None and self._program.validates

    @property
    def num_traces(self) -> int:
        """How often the training was traced for XLA: once, whatever is trained, or never."""
        return 0 if self._program is None else self._program.num_traces

    @property
    def capacity(self) -> int:
        """The most full batches of one call."""
        assert isinstance(self.loop.batches, ArrayBatches), "an obstacle otherwise"
        return capacity_of(self.loop.batches)

    def train(self, rates: Rates, momenta: Rates, order: Any, offsets: Any) -> list[NDArray[Any]]:
        """Train as the loop's `in_graph` does, under the same conditions."""
        return self._trained(rates, momenta, np.asarray(order), np.asarray(offsets))[0]

    def epoch(self, rates: Rates, momenta: Rates, order: Any, offsets: Any) -> Epoch:
        """Train as `train` does, and measure and validate as an epoch, which it must be able to: see `validates`."""
        recorded, shown = self._trained(rates, momenta, np.asarray(order), np.asarray(offsets), is_epoch=True)
        steps = Steps(*recorded)
        training, (loss, penalty), validation = shown
        if not steps.is_finite:
            return Epoch(steps, training, {})
        return Epoch(steps, training, {**validation, "loss": float(loss)}, float(penalty))

    def _trained(
        self, rates: Rates, momenta: Rates, order: NDArray[Any], offsets: NDArray[Any], *, is_epoch: bool = False
    ) -> tuple[list[NDArray[Any]], Any]:
        """Train part by part; return what each step showed, and what the program shows of an epoch."""
        assert self._program is not None, "compiled when the reason was asked for"
        recorded, shown = [], None
        for part in self._parts(offsets, is_epoch=is_epoch):
            steps = slice(part.first_step, part.end)
            index = order[offsets[part.first_step] : offsets[part.end]]
            values, shown = self._program(part, rates[steps], momenta[steps], index)
            recorded.append(up_to_what_breaks(values))
            if not np.isfinite(values[0]).all():
                break
        return [np.concatenate(values) for values in zip(*recorded, strict=True)], shown

    def _parts(self, offsets: NDArray[Any], *, is_epoch: bool) -> Iterator[Part]:
        """Cut a run into parts."""
        is_short = np.diff(offsets) < self.loop.batches.batch_size
        begin, end = 0, len(is_short)
        while begin < end:
            ahead = is_short[begin : begin + self.capacity]
            num_full = int(np.argmax(ahead)) if ahead.any() else len(ahead)
            num_short = int(is_short[begin + num_full : begin + num_full + 1].any())
            after = begin + num_full + num_short
            yield Part(begin, num_full, num_short, is_epoch and begin == 0, is_epoch and after == end)
            begin = after

    def _compiled(self) -> str:
        """Compile, with the validation of an epoch if that is possible; return why it failed."""
        ways = (True, False) if self._may_validate() else (False,)
        reason = ""
        for validates in ways:
            program = XlaProgram(self.loop, validates=validates)
            try:
                with self.loop.running():
                    program.compile()
            except MemoryError:
                raise
            except Exception as error:  # XLA reports what it lacks by errors of many kinds
                reason = f"XLA cannot compile the model ({type(error).__name__}: {error})".splitlines()[0]
            else:
                self._program = program
                return ""
        return reason

    def _may_validate(self) -> bool:
        validation = self.loop.validation
        is_possible = isinstance(validation, ArrayBatches) and _is_on_device(validation)
        return is_possible and self.loop.metrics.is_of_keras


def _is_on_device(batches: ArrayBatches) -> bool:
    """Say whether all parts of some data are plain numbers on the device."""
    import keras
    import tensorflow as tf

    return all(isinstance(part, tf.Tensor) and part.dtype != tf.string for part in keras.tree.flatten(batches.arrays))
