"""Knows how to train: one compiled loop that takes a table of learning rates and gives back each step's own loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrrt.batches import Batches

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Values = Sequence[Any]  # one tensor for each variable, in the variables' order


@dataclass(frozen=True, slots=True)
class Steps:
    """What a run of the loop recorded; it is shorter than its table of rates where a loss was not finite.

    `losses` has each step's own loss and `sizes` the samples in its batch, both of shape `(num_steps,)`.
    """

    losses: NDArray[np.float32]
    sizes: NDArray[np.int32]

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.losses).all())

    def mean_loss(self) -> float:
        """Return the mean over all samples, which is what `fit` calls the loss of an epoch."""
        return float(np.average(np.asarray(self.losses, float), weights=self.sizes))


class TrainingLoop:
    """One model, one optimizer, one batch size: traced once, then run for every range test and every trial.

    A run is `restart`, then any number of `train` and `validate`. Rates, order of the data, seed and weights are
    arguments or variables of the compiled function, so none of them makes it trace again. There is no Python per step
    and nothing is read back before a run's end. The model's own `train_step` and `test_step` do the work.

    Args:
        model: a compiled model; built on a first batch where it is not. Its optimizer is replaced while the loop runs.
        optimizer: a Keras optimizer whose learning rate is a number; the loop builds and owns it.
        batches: what is trained on.
        validation: what `validate` judges on; None where there is none.
    """

    def __init__(
        self, model: keras.Model, optimizer: keras.Optimizer, batches: Batches, validation: Batches | None = None
    ) -> None:
        self.model = model
        self.batches = batches
        self.validation = validation
        build(model, batches)
        self.optimizer = _scaled_for(model, optimizer)
        self.optimizer.build(model.trainable_variables)
        self._fresh_optimizer = read(self.optimizer.variables)
        self._compile()

    @property
    def num_traces(self) -> int:
        """How often the training function was traced; 1 after its first run, and for ever."""
        return int(self._train.experimental_get_tracing_count())

    def restart(self, weights: Values) -> None:
        """Begin a new run: all variables of the model from `weights`, the optimizer as newly built."""
        self._restore(list(weights), self._fresh_optimizer)

    def train(self, rates: ArrayLike, rng: np.random.Generator | None = None) -> Steps:
        """Train one step for each learning rate.

        Args:
            rates: learning rates, shape `(num_steps,)`.
            rng: shuffles the data; None keeps its order.

        Returns:
            Each step's own loss. A loss that is not finite is recorded and ends the run.
        """
        import tensorflow as tf

        table = tf.constant(np.asarray(rates, np.float32))
        with _owned(self.model, self.optimizer):
            losses, sizes, num_steps = self._train(table, *self.batches.plan(len(table), rng))
        done = int(num_steps)
        return Steps(losses.numpy()[:done], sizes.numpy()[:done])

    def validate(self) -> float:
        """Return the validation loss, as `model.evaluate` does: the mean over all samples.

        Raises:
            ValueError: where the loop has no validation data.
        """
        if self.validation is None:
            raise ValueError("The loop must have validation data to validate on, got none.")
        with _owned(self.model, self.optimizer):
            return float(self._validate(*self.validation.plan(self.validation.num_batches, None)))

    def snapshot(self) -> Values:
        """Copy all variables of the model, on the device."""
        return read(self.model.variables)

    def _compile(self) -> None:
        import tensorflow as tf

        rates = tf.TensorSpec([None], tf.float32)
        self._train = tf.function(self._train_steps, input_signature=[rates, *self.batches.signature], autograph=False)
        self._restore = tf.function(self._assign_all, autograph=False)
        if self.validation is not None:
            self._validate = tf.function(
                self._validation_steps, input_signature=self.validation.signature, autograph=False
            )

    def _train_steps(self, rates: tf.Tensor, *plan: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        num_steps = tf.shape(rates)[0]

        def body(step: Any, losses: Any, sizes: Any, _: Any) -> tuple[Any, ...]:
            batch = self.batches.take(step, *plan)
            self.optimizer.learning_rate = rates[step]
            loss = self._step_on(self.model.train_step, batch)
            return step + 1, losses.write(step, loss), sizes.write(step, _num_rows(batch)), tf.math.is_finite(loss)

        step, losses, sizes, _ = tf.while_loop(
            lambda step, losses, sizes, is_finite: (step < num_steps) & is_finite,
            body,
            (
                0,
                tf.TensorArray(tf.float32, size=num_steps, element_shape=()),
                tf.TensorArray(tf.int32, size=num_steps, element_shape=()),
                True,
            ),
            parallel_iterations=1,
        )
        return losses.stack(), sizes.stack(), step

    def _step_on(self, train_step: Any, batch: tuple[Any, ...]) -> tf.Tensor:
        """Train on one batch; without what the metrics remember, the step's loss is this batch's alone."""
        import tensorflow as tf

        for metric in self.model.metrics:
            metric.reset_state()
        return tf.cast(_loss_of(train_step(batch)), tf.float32)

    def _validation_steps(self, *plan: Any) -> tf.Tensor:
        import tensorflow as tf

        validation = self.validation
        assert validation is not None
        num_batches = tf.constant(validation.num_batches)
        for metric in self.model.metrics:
            metric.reset_state()

        def body(step: Any, _: Any) -> tuple[Any, Any]:
            logs = self.model.test_step(validation.take(step, *plan))
            return step + 1, tf.cast(_loss_of(logs), tf.float32)

        return tf.while_loop(lambda step, _: step < num_batches, body, (0, 0.0), parallel_iterations=1)[1]

    def _assign_all(self, weights: Values, optimizer_values: Values) -> None:
        assign(self.model.variables, weights)
        assign(self.optimizer.variables, optimizer_values)


def build(model: keras.Model, batches: Batches) -> None:
    """Create what a model makes on its first call: its weights, and the variables of its compiled metrics.

    Raises:
        ValueError: where the model is not compiled.
    """
    import keras

    if not model.compiled:
        raise ValueError(
            f"The model must be compiled, got {model.name!r} without a loss. Call model.compile(optimizer, loss) where "
            "it is built."
        )
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batches.sample())
    if model.built and not model.metrics:
        return
    y_pred = model(x, training=False)
    if y is not None:
        model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        for metric in model.metrics:
            metric.reset_state()


def read(variables: Sequence[Any]) -> Values:
    """Copy the values of Keras variables, on the device."""
    import tensorflow as tf

    return [tf.identity(variable.value) for variable in variables]


def assign(variables: Sequence[Any], values: Values) -> None:
    """Give Keras variables these values, in their order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextmanager
def _owned(model: keras.Model, optimizer: keras.Optimizer) -> Iterator[None]:
    """While the loop runs, the model's optimizer is the loop's; then it is again what it was."""
    found, model.optimizer = model.optimizer, optimizer
    try:
        with _executor():
            yield
    finally:
        model.optimizer = found


def _executor() -> AbstractContextManager[None]:
    """Return what runs the loop's operations: one thread on a CPU, TensorFlow's own choice where there is a GPU.

    The operations of a step depend on each other, so threads that hand them about only wait: one thread made the steps
    of a small dense network 1.6 times faster. Each operation still spreads over all cores.
    """
    import tensorflow as tf
    from tensorflow.python.eager import context  # the only place that offers it; Keras imports this module too

    if tf.config.list_physical_devices("GPU"):
        return nullcontext()
    executor: AbstractContextManager[None] = context.function_executor_type("SINGLE_THREADED_EXECUTOR")
    return executor


def _scaled_for(model: keras.Model, optimizer: keras.Optimizer) -> keras.Optimizer:
    """Wrap the optimizer as `compile` wrapped the model's own: a mixed_float16 model needs its losses scaled."""
    from keras.optimizers import LossScaleOptimizer

    if isinstance(model.optimizer, LossScaleOptimizer) and not isinstance(optimizer, LossScaleOptimizer):
        return LossScaleOptimizer(optimizer)
    return optimizer


def _loss_of(logs: Any) -> Any:
    if not isinstance(logs, dict) or "loss" not in logs:
        found = sorted(logs) if isinstance(logs, dict) else type(logs).__name__
        raise ValueError(f'A train_step or test_step must return a dict with the key "loss", got {found}.')
    return logs["loss"]


def _num_rows(batch: tuple[Any, ...]) -> Any:
    import keras
    import tensorflow as tf

    return tf.shape(keras.tree.flatten(batch)[0])[0]
