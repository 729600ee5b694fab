"""Evaluate: one compiled loop over data, for the mean loss and the part of it that is penalties."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.arrays import ArrayBatches
from lrrt.batches import Batches
from lrrt.compiled_function import CompiledFunction
from lrrt.epoch_metrics import EpochMetrics
from lrrt.matching import fixed_batch_size
from lrrt.one_batch import num_rows, run_on_batch
from lrrt.penalties import penalty_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Sums = tuple[Any, Any, Any]  # of losses and of penalties, each times its samples, and of samples; in float64
FORWARD_FACTOR = 4  # a validation batch is so many training batches: a forward pass keeps no activations
PENALTY = "penalty of lrrt"  # the key of what regularizers added, among the metrics of a validation step


class ValidationLoop:
    """The model's `test_step` over all of some data, or a part of it, traced once.

    Args:
        model: a compiled model.
        batches: the data.
        metrics: of the model; a step adds to them.
    """

    def __init__(self, model: keras.Model, batches: Batches, metrics: EpochMetrics) -> None:
        self.model = model
        self.batches = batches
        self.metrics = metrics
        import tensorflow as tf

        self._steps_of = CompiledFunction(self._steps, [tf.TensorSpec([], tf.int32), *batches.signature])

    def run(self, num_batches: int | None = None, rng: np.random.Generator | None = None) -> tuple[float, float]:
        """Return the mean loss over samples, as `model.evaluate` does, and what of it regularizers added.

        Args:
            num_batches: so many batches are looked at; None for all.
            rng: draws their samples; None takes them in order.
        """
        import tensorflow as tf

        num_batches = num_batches or self.batches.num_batches
        plan = self.batches.plan(num_batches, rng)
        loss, penalty = self._steps_of(tf.constant(num_batches), *plan, num_steps=num_batches)
        return float(loss), float(penalty)

    def _steps(self, num_batches: tf.Tensor, *plan: Any) -> tuple[tf.Tensor, tf.Tensor]:
        def take(step: tf.Tensor) -> Any:
            return self.batches.take(step, *plan)

        total, penalties, count = evaluated(self.model, self.metrics, take, num_batches, no_sums())
        return total / count, penalties / count


def in_larger_batches(model: keras.Model, data: Batches | None, batch_size: int) -> Batches | None:
    """Return validation data in batches of some times a training's size, if it does not bring its own.

    Args:
        model: takes the batches; it may take those of one size only.
        data: the validation data; None if there is none.
        batch_size: of the training.
    """
    if not isinstance(data, ArrayBatches):
        return data
    size = min(data.num_samples, fixed_batch_size(model) or FORWARD_FACTOR * batch_size)
    return data.with_batch_size(size, name="validation_data")


def no_sums() -> Sums:
    """Return the sums of no batches."""
    import tensorflow as tf

    zero = tf.constant(0.0, tf.float64)
    return zero, zero, zero


def evaluated(
    model: keras.Model, metrics: EpochMetrics, take: Callable[[tf.Tensor], Any], num_batches: Any, sums: Sums
) -> Sums:
    """Evaluate batches in the graph; return what they add to the sums of losses, penalties and samples.

    Args:
        model: a compiled model, whose `test_step` does the work.
        metrics: of the model; a step adds to them.
        take: returns the batch of a step.
        num_batches: how many there are.
        sums: of the batches before.
    """
    import tensorflow as tf

    def with_penalty(batch: Any) -> Any:
        logs = model.test_step(batch)
        has_loss = isinstance(logs, dict) and "loss" in logs  # without it, what a step shows is refused
        return {**logs, PENALTY: penalty_of(model)} if has_loss else logs

    def body(step: Any, total: Any, penalties: Any, count: Any) -> tuple[Any, ...]:
        batch = take(step)
        size = tf.cast(num_rows(batch), tf.float64)
        shown = run_on_batch(model, with_penalty, batch, PENALTY, reset=metrics.of_step)
        metrics.add_step()
        loss, penalty = (tf.cast(value, tf.float64) for value in shown)
        return step + 1, total + size * loss, penalties + size * penalty, count + size

    _, total, penalties, count = tf.while_loop(
        lambda step, *_: step < num_batches, body, (0, *sums), parallel_iterations=1
    )
    return total, penalties, count


def evaluate_batchwise(
    model: keras.Model, batches: Batches, num_batches: int, rng: np.random.Generator | None = None
) -> tuple[float, float]:
    """Return what `ValidationLoop.run` does, of a model that cannot be traced or is evaluated only once."""
    plan = batches.plan(num_batches, rng)
    losses, sizes, penalties = [], [], []
    for step in range(num_batches):
        batch = batches.take(step, *plan)
        losses.append(float(run_on_batch(model, model.test_step, batch)[0]))
        sizes.append(int(num_rows(batch)))
        penalties.append(float(penalty_of(model)))
    return float(np.average(losses, weights=sizes)), float(np.average(penalties, weights=sizes))
