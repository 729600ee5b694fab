"""Train many steps in one graph: the loop that TensorFlow runs as it is, and that XLA compiles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lrrt.batches import Batches
from lrrt.epoch_metrics import EpochMetrics
from lrrt.monitor import Monitor
from lrrt.one_batch import num_rows, run_on_batch

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Rates = NDArray[np.float32]


class Trainable(Protocol):
    """What is trained step by step: a `TrainingLoop`, whose attributes these are."""

    model: keras.Model
    optimizer: keras.Optimizer
    batches: Batches
    validation: Batches | None
    metrics: EpochMetrics
    monitor: Monitor
    momentum: tf.Variable | None
    probe: Any
    stops_at_once: bool

    def running(self) -> AbstractContextManager[None]: ...

    def in_graph(self, rates: Rates, momenta: Rates, *plan: Any) -> list[NDArray[Any]]: ...


def train_steps(
    loop: Trainable,
    take: Callable[[tf.Tensor], Any],
    rates: tf.Tensor,
    momenta: tf.Tensor,
    num_steps: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Train a step with each of the first `num_steps` rates.

    Where the loop `stops_at_once`, that is up to the first loss that is not finite. To know it, the host must wait for
    each step, which on a GPU costs more than a few steps that are trained in vain.

    Args:
        loop: the model, its optimizer and what is recorded of each step.
        take: returns the batch of a step.
        rates: learning rates, shape `(most_steps,)`.
        momenta: of the same shape, or empty if the loop has no variable for the momentum.
        num_steps: how many of the rates are trained with.

    Returns:
        Each step's loss, samples and monitored value, of shape `(most_steps,)`, and the number of steps that were
        trained; what comes after them is 0.
    """
    import tensorflow as tf

    most_steps = tf.shape(rates)[0] if rates.shape[0] is None else rates.shape[0]

    def body(step: Any, losses: Any, sizes: Any, monitored: Any, last: Any, _: Any) -> tuple[Any, ...]:
        batch = take(step)
        loop.optimizer.learning_rate = rates[step]
        if loop.momentum is not None:
            loop.momentum.assign(momenta[step])
        fresh = loop.metrics.of_step
        loss, shown = run_on_batch(loop.model, loop.model.train_step, batch, loop.monitor.metric, reset=fresh)
        loop.metrics.add_step()
        shown = _probed(loop, step, last) if loop.probe is not None else shown
        return (
            step + 1,
            losses.write(step, loss),
            sizes.write(step, num_rows(batch)),
            monitored.write(step, shown),
            shown,
            tf.math.is_finite(loss) if loop.stops_at_once else True,
        )

    def may_go_on(step: Any, *others: Any) -> Any:
        is_finite = others[-1]
        return (step < num_steps) & is_finite if loop.stops_at_once else step < num_steps

    def array(dtype: Any) -> tf.TensorArray:
        return tf.TensorArray(dtype, size=most_steps, element_shape=())

    step, losses, sizes, monitored, *_ = tf.while_loop(
        may_go_on,
        body,
        (0, array(tf.float32), array(tf.int32), array(tf.float32), 0.0, True),
        parallel_iterations=1,
    )
    return losses.stack(), sizes.stack(), monitored.stack(), step


def _probed(loop: Trainable, step: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Return what the monitor shows on the probe, measured anew at every so many steps."""
    import tensorflow as tf

    def measured() -> tf.Tensor:
        return run_on_batch(loop.model, loop.model.test_step, loop.probe, loop.monitor.metric)[1]

    return tf.cond(tf.equal(step % loop.monitor.every, 0), measured, lambda: last)


def up_to_the_end(*shown: tf.Tensor) -> list[NDArray[Any]]:
    """Read back what `train_steps` returned: of each step up to the last, or the first whose loss is not finite."""
    *recorded, num_steps = shown
    return up_to_what_breaks([values.numpy()[: int(num_steps)] for values in recorded])


def up_to_what_breaks(recorded: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return what steps showed, losses first, up to the first loss that is not finite."""
    broken = np.flatnonzero(~np.isfinite(recorded[0]))
    return [values[: broken[0] + 1] for values in recorded] if len(broken) else recorded
