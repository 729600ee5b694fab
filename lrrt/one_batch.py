"""Run a model's own step on one batch, in the graph: on each replica, and with the loss of this batch alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lrrt import rows
from lrrt.parts import Batch

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class BrokenStep(ValueError):
    """A step of the model's own returned something else than a dict of scalars with a loss."""


def run_on_batch(
    model: keras.Model,
    run_step: Callable[[Batch], Any],
    batch: Any,
    metric: str = "loss",
    *,
    reset: Sequence[keras.Metric] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run a step on one batch; return its loss and its metric, of this batch alone.

    What the metrics remember of earlier batches is reset before. Each replica takes its share of the batch; if they
    cannot be equal, the first samples are taken again.

    Args:
        model: the model, under whose strategy the step runs.
        run_step: its `train_step` or `test_step`.
        batch: x, (x,), (x, y) or (x, y, sample_weight).
        metric: a key of what the step returns.
        reset: the metrics that are; None for all.

    Raises:
        BrokenStep: while it is traced, if the step returns no scalar of these names.
    """
    import keras
    import tensorflow as tf

    strategy = model.distribute_strategy
    num_replicas = strategy.num_replicas_in_sync

    def on_replica(batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        for each in model.metrics if reset is None else reset:
            each.reset_state()
        if num_replicas > 1:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            size = num_rows(batch)
            share = -(-size // num_replicas)
            index = (tf.range(share) * num_replicas + replica) % size
            batch = keras.tree.map_structure(lambda values: rows.gather(values, index), batch)
        logs = run_step(batch)
        return value_of(logs, "loss"), value_of(logs, metric)

    if num_replicas == 1:
        return on_replica(batch)
    shown = strategy.run(on_replica, args=(batch,))
    return tuple(strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for value in shown)


def num_rows(batch: Any) -> tf.Tensor:
    """Return how many samples are in a batch."""
    import keras

    return rows.num_rows(keras.tree.flatten(batch)[0])


def value_of(logs: Any, name: str) -> tf.Tensor:
    """Return one scalar of what a step returned.

    Raises:
        BrokenStep: if it is not there, or no scalar.
    """
    import tensorflow as tf

    if not isinstance(logs, dict) or name not in logs:
        received = (", ".join(map(str, logs)) or "no key") if isinstance(logs, dict) else type(logs).__name__
        raise BrokenStep(f'A train_step or test_step must return a dict with the key "{name}", got {received}.')
    if isinstance(logs[name], dict):
        names = ", ".join(map(str, logs[name]))
        raise BrokenStep(f'"{name}" of a train_step or test_step must be a scalar, got a dict of {names}.')
    value = tf.convert_to_tensor(logs[name])
    if value.shape.num_elements() != 1:
        raise BrokenStep(f'"{name}" of a train_step or test_step must be a scalar, got the shape {value.shape}.')
    return tf.cast(tf.reshape(value, []), tf.float32)
