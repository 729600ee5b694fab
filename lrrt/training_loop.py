"""Train: one compiled loop that takes a table of learning rates and gives back each step's own loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrrt.batches import Batches
from lrrt.compiled_function import CompiledFunction
from lrrt.matching import fixed_batch_size
from lrrt.models import complete
from lrrt.monitor import LOSS, Monitor
from lrrt.optimizers import check_is_used, scaled_for
from lrrt.recorded_steps import Epoch, Steps, data_ended
from lrrt.shared_functions import SharedFunctions
from lrrt.step_loop import Rates, train_steps, up_to_the_end
from lrrt.validation_loop import ValidationLoop
from lrrt.variables import FreshOptimizer, Values, assign
from lrrt.xla_loop import XlaLoop

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

PROBE_SAMPLES = 256  # of the validation data, for a validation monitor; data in batches of its own gives its first


class TrainingLoop:
    """One model, one optimizer, one batch size: traced once, then run for every range test and every trial.

    A run is `restart`, then any number of `train` and `validate`. Rates, order of the data, seed and weights are
    arguments or variables of the compiled function, so none of them makes it trace again. There is no Python per step
    and nothing is read back before a run's end. The model's own `train_step` and `test_step` do the work, on each
    replica of the strategy that the model was built under.

    Args:
        model: a compiled model; completed on a first batch if it is not built. Its optimizer is replaced while the
            loop runs.
        optimizer: a Keras optimizer whose learning rate is a number; the loop builds and owns it.
        batches: what is trained on.
        validation: what `validate` and a validation monitor judge on; None if there is none.
        monitor: what else is recorded of each step; by default its loss.
        shared: what other loops of the model have, too.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.Optimizer,
        batches: Batches,
        validation: Batches | None = None,
        monitor: Monitor = LOSS,
        shared: SharedFunctions | None = None,
    ) -> None:
        import tensorflow as tf

        self.model = model
        self.batches = batches
        self.validation = validation
        self.monitor = monitor
        complete(model, batches)
        self.shared = shared or SharedFunctions(model, monitor)
        self.metrics, self.variables = self.shared.metrics, self.shared.variables
        with model.distribute_strategy.scope():
            self.optimizer = scaled_for(model, optimizer)
            self._fresh_optimizer = FreshOptimizer(self.optimizer, model)
        self.penalty = 0.0
        """What regularizers added to the last validation loss."""
        self.momentum: tf.Variable | None = None
        """A variable in place of the optimizer's momentum, put there before the first run; `train` moves it."""
        probe_size = fixed_batch_size(model) or PROBE_SAMPLES
        self.probe = validation.sample(probe_size) if validation and monitor.on_validation else None
        """What a validation monitor is measured on."""
        self._validation = None if validation is None else self.shared.evaluation(validation)
        self._evaluation: ValidationLoop | None = None  # of training data, which is seldom asked for
        self.stops_at_once = not tf.config.list_physical_devices("GPU")
        """Whether a loss that is not finite ends a run at its step, or only what is recorded of it."""
        self._is_used = False  # whether a run was seen to move the model through the optimizer
        self.xla = XlaLoop(self)
        self.uses_xla = False
        """Whether XLA trains, which must have no `reason` against it."""
        self._compile()

    @property
    def trains_epochs(self) -> bool:
        """Whether an `epoch` is one call: under XLA, if that has compiled its metrics and validation too."""
        return self.uses_xla and self.xla.validates

    @property
    def num_traces(self) -> int:
        """How often the training function was traced; 1 after its first run, and for ever."""
        return self.compiled.num_traces

    @property
    def batches_per_update(self) -> int:
        """Batches whose gradients are added up for one update; 1 unless the optimizer accumulates gradients."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer).gradient_accumulation_steps or 1

    def trace(self) -> None:
        """Compile the training ahead of its first run; raises what the model's `train_step` raises in a graph."""
        with self.running():
            self.compiled.trace()

    def restart(self, weights: Values) -> None:
        """Begin a new run: all variables of the model from `weights`, the optimizer as newly built for them."""
        self.resume(weights, self._fresh_optimizer.values(weights))

    def resume(self, weights: Values, optimizer_values: Values) -> None:
        """Go on with a run from all variables of the model and of its optimizer."""
        with self.running():
            assign([*self.variables, *self.optimizer.variables], [*weights, *optimizer_values])

    def train(
        self,
        rates: ArrayLike,
        rng: np.random.Generator | None = None,
        momenta: ArrayLike | None = None,
        *,
        plan: tuple[Any, ...] | None = None,
    ) -> Steps:
        """Train one step for each learning rate.

        Args:
            rates: learning rates, shape `(num_steps,)`.
            rng: shuffles the data; None keeps its order.
            momenta: the momentum of each step, shape `(num_steps,)`, if the loop has a variable for it.
            plan: which batches are trained on, from a `plans` of batches like the loop's, in place of `rng`.

        Returns:
            What each step showed. A loss that is not finite is recorded and ends the run.

        Raises:
            ValueError: if the data ends before the rates do, or momenta are not one for each rate.
        """
        return Steps(*self._run(self.xla.train if self.uses_xla else self.in_graph, rates, rng, momenta, plan))

    def epoch(
        self,
        rates: ArrayLike,
        rng: np.random.Generator | None = None,
        momenta: ArrayLike | None = None,
        *,
        plan: tuple[Any, ...] | None = None,
    ) -> Epoch:
        """Train as `train` does, with the metrics of an epoch, and validate, if the loop `trains_epochs`."""
        shown: Epoch = self._run(self.xla.epoch, rates, rng, momenta, plan)
        self.penalty = shown.penalty
        return shown

    def _run(self, run: Callable[..., Any], rates: Any, rng: Any, momenta: Any, plan: Any) -> Any:
        """Train by one of the ways in which a loop trains; return what that does."""
        import tensorflow as tf

        table = np.asarray(rates, np.float32)
        moving = np.asarray([] if momenta is None else momenta, np.float32)
        if len(moving) != (0 if self.momentum is None else len(table)):
            raise ValueError(
                "`momenta` must have one for each rate if the loop has a variable for it, and none if not, got "
                f"{len(moving)} for {len(table)} rates."
            )
        with self.running():
            try:
                plan = self.batches.plan(len(table), rng) if plan is None else plan
                shown = run(table, moving, *plan)
            except tf.errors.OutOfRangeError:
                raise data_ended(len(table)) from None
        if not self._is_used:  # to read it after each epoch takes longer than a few small steps
            check_is_used(self.optimizer, self.model)
            self._is_used = True
        return shown

    def in_graph(self, rates: Rates, momenta: Rates, *plan: Any) -> list[NDArray[Any]]:
        """Train by the plain graph, while the loop is `running`; return what each step showed."""
        import tensorflow as tf

        arguments = [tf.constant(one) if isinstance(one, np.ndarray) else one for one in (rates, momenta, *plan)]
        return up_to_the_end(*self.compiled(*arguments, num_steps=len(rates)))

    def validate(self) -> float:
        """Return the validation loss, as `model.evaluate` does: the mean over all samples; `penalty` has its penalties.

        Raises:
            ValueError: if the loop has no validation data.
        """
        if self._validation is None:
            raise ValueError("The loop must have validation data to validate on, got none.")
        with self.running():
            loss, self.penalty = self._validation.run()
            return loss

    def validation_logs(self) -> Mapping[str, Any]:
        """Return the loss and the metrics of the validation data, as `model.evaluate` does.

        Raises:
            ValueError: if the loop has no validation data.
        """
        self.metrics.begin()
        loss = self.validate()
        return {**self.metrics.read(), "loss": loss}

    def evaluate(self, num_batches: int, rng: np.random.Generator) -> tuple[float, float]:
        """Return the loss on random training batches, evaluated as that of validation data, and its penalties."""
        self._evaluation = self._evaluation or self.shared.evaluation(self.batches)
        with self.running():
            return self._evaluation.run(num_batches, rng)

    def snapshot(self) -> Values:
        """Copy all variables of the model, the states of its layers among them, on the device."""
        with self.running():
            values: Values = self.shared.copy()
            return values

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the block runs, the model's optimizer is the loop's; then it is again what it was."""
        before = self.model.optimizer
        if before is not self.optimizer:  # Keras takes long to look through what is set
            self.model.optimizer = self.optimizer
        try:
            with self.model.distribute_strategy.scope():
                yield
        finally:
            if before is not self.optimizer:
                self.model.optimizer = before

    def _compile(self) -> None:
        import tensorflow as tf

        table = tf.TensorSpec([None], tf.float32)
        signature = [table, table, *self.batches.signature]
        self.compiled = CompiledFunction(self._train_steps, signature)
        """The training, with its graph and the seconds of its trace."""

    def _train_steps(self, rates: tf.Tensor, momenta: tf.Tensor, *plan: Any) -> tuple[tf.Tensor, ...]:
        import tensorflow as tf

        return train_steps(self, lambda step: self.batches.take(step, *plan), rates, momenta, tf.shape(rates)[0])
