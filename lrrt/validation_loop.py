"""Validate: one compiled loop over the validation data, for the mean loss and the part of it that is penalties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrrt.batches import Batches
from lrrt.compiled_function import CompiledFunction
from lrrt.epoch_metrics import EpochMetrics
from lrrt.one_batch import num_rows, run_on_batch
from lrrt.penalties import penalty_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

PENALTY = "penalty of lrrt"  # the key of what regularizers added, among the metrics of a validation step


class ValidationLoop:
    """The model's `test_step` over all validation data, traced once.

    Args:
        model: a compiled model.
        batches: the validation data.
        metrics: of the model; a step adds to them.
    """

    def __init__(self, model: keras.Model, batches: Batches, metrics: EpochMetrics) -> None:
        self.model = model
        self.batches = batches
        self.metrics = metrics
        self._steps_of = CompiledFunction(self._steps, batches.signature)

    def run(self) -> tuple[float, float]:
        """Return the mean loss over all samples, as `model.evaluate` does, and what of it regularizers added."""
        num_batches = self.batches.num_batches
        loss, penalty = self._steps_of(*self.batches.plan(num_batches, None), num_steps=num_batches)
        return float(loss), float(penalty)

    def _steps(self, *plan: Any) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        num_batches = self.batches.num_batches

        def with_penalty(batch: Any) -> Any:
            logs = self.model.test_step(batch)
            has_loss = isinstance(logs, dict) and "loss" in logs  # without it, what a step shows is refused
            return {**logs, PENALTY: penalty_of(self.model)} if has_loss else logs

        def body(step: Any, total: Any, penalties: Any, count: Any) -> tuple[Any, ...]:
            batch = self.batches.take(step, *plan)
            size = tf.cast(num_rows(batch), tf.float64)
            shown = run_on_batch(self.model, with_penalty, batch, PENALTY, reset=self.metrics.of_step)
            self.metrics.add_step()
            loss, penalty = (tf.cast(value, tf.float64) for value in shown)
            return step + 1, total + size * loss, penalties + size * penalty, count + size

        zero = tf.constant(0.0, tf.float64)
        _, total, penalties, count = tf.while_loop(
            lambda step, *_: step < num_batches, body, (0, zero, zero, zero), parallel_iterations=1
        )
        return total / count, penalties / count
