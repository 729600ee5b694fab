"""Train through `model.fit` what the compiled loop cannot: eager models, and hooks at every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from lrrt.batches import Batches
from lrrt.one_batch import BrokenStep, num_rows, run_on_batch, value_of
from lrrt.optimizers import check_is_used
from lrrt.penalties import has_activity_penalty, penalty_of
from lrrt.recorded_steps import Steps, data_ended
from lrrt.training_loop import TrainingLoop
from lrrt.validation_loop import evaluate_batchwise
from lrrt.variables import Values, assign

NO_MORE = 0  # in place of the size of a batch
Tell = Callable[[str, int, Any], None]


class FitLoop:
    """Trains as a `TrainingLoop` does, with its optimizer, rates and order of the data, but one batch after the other.

    It is many times slower. `model.fit` is called for each run of steps, without a graph if the model cannot be
    traced; `tell` with the name and the arguments of each hook at a batch. The loss that is told of a step is that
    step's own, not the mean so far.

    Args:
        loop: the compiled loop in whose place it trains; it need not have been traced.
    """

    def __init__(self, loop: TrainingLoop) -> None:
        self.loop = loop
        self.model, self.optimizer = loop.model, loop.optimizer
        self.batches, self.validation = loop.batches, loop.validation
        self.batches_per_update, self.metrics = loop.batches_per_update, loop.metrics
        self.tell: Tell = lambda hook, batch, logs: None
        self._functions: tuple[Any, Any] = (None, None)  # Keras's own, which are made for one optimizer

    @cached_property
    def reason(self) -> str:
        """Why the model cannot be trained in the loop, which is traced to find out; "" if it can.

        Raises:
            MemoryError, tf.errors.ResourceExhaustedError: if there is no room for the model.
            BrokenStep: if its step returns no loss, which `fit` would not help.
        """
        import tensorflow as tf

        if self.model.run_eagerly:
            return "the model was compiled with run_eagerly=True"
        try:
            self.loop.trace()
        except (MemoryError, tf.errors.ResourceExhaustedError, BrokenStep):
            raise
        except Exception as error:  # the model's train_step is the user's code, which may raise anything
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            return f"the model's train_step cannot run in a graph ({why})"
        return ""

    def restart(self, weights: Values) -> None:
        """Begin a new run: all variables of the model from `weights`, the optimizer as newly built."""
        self.loop.restart(weights)

    def resume(self, weights: Values, optimizer_values: Values) -> None:
        """Go on with a run from all variables of the model and of its optimizer."""
        self.loop.resume(weights, optimizer_values)

    def snapshot(self) -> Values:
        """Copy all variables of the model, on the device."""
        return self.loop.snapshot()

    def running(self) -> Any:
        """While the block runs, the model's optimizer is the loop's."""
        return self.loop.running()

    def train(
        self,
        rates: ArrayLike,
        rng: np.random.Generator | None = None,
        momenta: ArrayLike | None = None,
        *,
        plan: tuple[Any, ...] | None = None,
    ) -> Steps:
        """Train one step for each learning rate; arguments and result are those of `TrainingLoop.train`.

        The run ends early if what is told of a batch sets `model.stop_training`, too.
        """
        import tensorflow as tf

        table = np.asarray(rates, np.float32)
        recorder = _Recorder(self.loop, table, None if momenta is None else np.asarray(momenta, np.float32), self.tell)
        with self._prepared():
            plan = self.batches.plan(len(table), rng) if plan is None else plan
            stream = stream_of(self.batches, len(table), plan, recorder.sizes)
            try:
                self.model.fit(stream, shuffle=False, verbose=0, callbacks=[recorder])
            except tf.errors.FailedPreconditionError:
                if recorder.sizes[-1:] == [NO_MORE]:
                    raise data_ended(len(table)) from None
                raise
            if recorder.weights is not None:
                assign(self.loop.variables, recorder.weights)
        check_is_used(self.optimizer, self.model)
        losses = np.array(recorder.losses, np.float32)
        sizes = np.array(recorder.sizes[: len(losses)], np.int32)
        return Steps(losses, sizes, np.array(recorder.monitored, np.float32))

    def validate(self) -> float:
        """Return the validation loss.

        Raises:
            ValueError: if the loop has no validation data.
        """
        return float(self.validation_logs()["loss"])

    def validation_logs(self, num_batches: int | None = None) -> Mapping[str, Any]:
        """Return what `model.evaluate` says of the validation data: the loss and every metric.

        Args:
            num_batches: so many batches are looked at; None for all.

        Raises:
            ValueError: if the loop has no validation data.
        """
        if self.validation is None:
            raise ValueError("The loop must have validation data to validate on, got none.")
        num_batches = num_batches or self.validation.num_batches
        stream = stream_of(self.validation, num_batches, self.validation.plan(num_batches, None))
        with self._prepared():
            logs: Mapping[str, Any] = self.model.evaluate(
                stream, verbose=0, return_dict=True, callbacks=[_TestHooks(self.tell)]
            )
        return logs

    def evaluate(self, num_batches: int, rng: np.random.Generator) -> tuple[float, float]:
        """Return the loss on random training batches, evaluated as that of validation data, and its penalties."""
        if not self.reason:
            return self.loop.evaluate(num_batches, rng)
        with self._prepared():
            return evaluate_batchwise(self.model, self.batches, num_batches, rng)

    @property
    def penalty(self) -> float:
        """What regularizers add to the validation loss now; those of activities take another look at the data."""
        if self.validation is None or not has_activity_penalty(self.model):
            return float(penalty_of(self.model))
        if not self.reason:
            self.loop.validate()
            return self.loop.penalty
        with self._prepared():
            return evaluate_batchwise(self.model, self.validation, self.validation.num_batches)[1]

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        """While the block runs, the model runs as this loop wants it; then it is again what it was."""
        model = self.model
        before = model.run_eagerly, model.steps_per_execution, model.train_function, model.test_function
        with self.loop.running():
            model.run_eagerly, model.steps_per_execution = bool(self.reason), 1
            model.train_function, model.test_function = self._functions
            try:
                yield
            finally:
                self._functions = model.train_function, model.test_function
                model.run_eagerly, model.steps_per_execution, model.train_function, model.test_function = before


def stream_of(batches: Batches, num_steps: int, plan: tuple[Any, ...], sizes: list[int] | None = None) -> Any:
    """Return a tf.data.Dataset of so many batches, which `fit` refuses if the data ends before.

    Their sizes are added to `sizes`, and NO_MORE when the data ends.
    """
    import tensorflow as tf

    sizes = [] if sizes is None else sizes

    def generate() -> Iterator[Any]:
        for step in range(num_steps):
            try:
                batch = batches.take(step, *plan)
            except tf.errors.OutOfRangeError:
                sizes.append(NO_MORE)
                return
            sizes.append(int(num_rows(batch)))
            yield batch

    stream = tf.data.Dataset.from_generator(generate, output_signature=batches.element_spec)
    return stream.apply(tf.data.experimental.assert_cardinality(num_steps))


class _Recorder(keras.callbacks.Callback):
    """Sets the rate and the momentum of each step, records what it shows, and ends the run at a loss not finite."""

    def __init__(self, loop: TrainingLoop, rates: Any, momenta: Any, tell: Tell) -> None:
        super().__init__()
        self.loop, self.rates, self.momenta, self.tell = loop, rates, momenta, tell
        self.losses: list[float] = []
        self.monitored: list[float] = []
        self.sizes: list[int] = []
        self.weights: Values | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        for metric in self.loop.metrics.of_step:
            metric.reset_state()
        self.loop.optimizer.learning_rate = self.rates[batch]
        if self.loop.momentum is not None:
            self.loop.momentum.assign(self.momenta[batch])
        self.tell("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.loop.metrics.add_step()
        self.losses.append(float(value_of(logs, "loss")))
        self.monitored.append(self._monitored(batch, logs))
        self.tell("on_train_batch_end", batch, logs)
        if not np.isfinite(self.losses[-1]):
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if getattr(self.loop.optimizer, "use_ema", False):  # `fit` now puts the averages in place of the weights
            self.weights = self.loop.snapshot()

    def _monitored(self, step: int, logs: Any) -> float:
        monitor, probe = self.loop.monitor, self.loop.probe
        if probe is None:
            return float(value_of(logs, monitor.metric))
        if step % monitor.every:
            return self.monitored[-1]
        return float(run_on_batch(self.model, self.model.test_step, probe, monitor.metric)[1])


class _TestHooks(keras.callbacks.Callback):
    """Tells of the batches that are validated on."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self.tell = tell

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.tell("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.tell("on_test_batch_end", batch, logs)
