"""A model's metrics on the training data over an epoch, although each step shows a loss of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lrrt.compiled_function import CompiledFunction
from lrrt.monitor import LOSS, Monitor

if TYPE_CHECKING:
    import keras


class EpochMetrics:
    """The metrics of a model's training from `begin` to `read`, which are what `fit` calls those of an epoch.

    A step that shows its own loss must find the trackers of losses reset. Compiled metrics hold no loss, so they are
    left to add up. What is the model's own (a custom `train_step` has trackers) is reset; if it is one of Keras's
    kinds, whose states are sums over samples, they are added up beside it, and if it is of another kind, nothing is
    shown of it. Where a monitor watches a metric, each step shows that of its own, too, and an epoch shows none.

    Args:
        model: a compiled model whose metrics are built.
        monitor: what each step shows.
    """

    def __init__(self, model: keras.Model, monitor: Monitor) -> None:
        import tensorflow as tf

        self.model = model
        self._adds_up = monitor == LOSS
        metrics = [
            metric for metric in model.metrics if not hasattr(metric, "metrics")
        ]  # what has them holds those compiled
        sums = [metric for metric in metrics if _is_a_sum(metric) and metric.name != "loss"]
        self.of_step = metrics if self._adds_up else model.metrics
        """What is reset before each step."""
        self._unknown = [metric for metric in metrics if metric not in sums]
        self._summed = [variable for metric in sums for variable in metric.variables] if self._adds_up else []
        with model.distribute_strategy.scope():
            self._sums = [tf.Variable(tf.zeros_like(metric.value), trainable=False) for metric in self._summed]
        self.is_of_keras = _is_of_keras(model)
        """Whether they can be reset and read in a graph, which Python of the user's own cannot enter."""
        # Each assignment alone takes longer than all of them in a graph.
        self._forget = CompiledFunction(self.forgotten, []) if self.is_of_keras else self.forgotten

    def begin(self) -> None:
        """Forget what was shown before."""
        with self.model.distribute_strategy.scope():
            self._forget()

    def forgotten(self) -> int:
        """Do what `begin` does, in a graph or not; return 0, since TensorFlow's conditions need a result."""
        import tensorflow as tf

        self.model.reset_metrics()
        for total in self._sums:
            total.assign(tf.zeros_like(total))
        return 0

    def add_step(self) -> None:
        """Add up what the last step showed; it runs inside the graph, too."""
        for total, variable in zip(self._sums, self._summed, strict=True):
            total.assign_add(variable.value)

    def read(self) -> Mapping[str, Any]:
        """Return each metric since `begin`, by its name; of the loss, which is told otherwise, nothing."""
        shown: dict[str, Any] = {}
        with self.model.distribute_strategy.scope():
            for variable, total in zip(self._summed, self._sums, strict=True):
                variable.assign(total)
            for metric in self.model.metrics if self._adds_up else ():
                if metric not in self._unknown:
                    shown |= _by_name({metric.name: metric.result()})
        return shown


def _by_name(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return results as `fit` shows them: those of a metric with several have their own names."""
    shown: dict[str, Any] = {}
    for name, result in results.items():
        shown |= _by_name(result) if isinstance(result, Mapping) else {name: result}
    return shown


def _is_a_sum(metric: keras.Metric) -> bool:
    """Say whether a metric's states are sums over samples, as those of all of Keras's kinds are."""
    import keras

    kinds = (kind for kind in type(metric).__mro__ if kind is not keras.Metric and issubclass(kind, keras.Metric))
    return any(kind.__module__.startswith("keras.") for kind in kinds)


def _is_of_keras(model: keras.Model) -> bool:
    """Say whether nothing but code of Keras resets the metrics of a model, on one device."""
    import keras

    parts = [part for metric in model.metrics for part in (metric, *getattr(metric, "metrics", ()))]
    are_plain = all(type(part).__module__.startswith("keras.") for part in parts)
    is_one = model.distribute_strategy.num_replicas_in_sync == 1
    return are_plain and is_one and type(model).reset_metrics is keras.Model.reset_metrics
