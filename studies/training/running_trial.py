"""Train one trial epoch by epoch, and take or resume its checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrrt.recorded_steps import Epoch, Steps
from lrrt.training_loop import TrainingLoop
from lrrt.variables import Values, read
from studies.objective import TRAIN_LOSS, VAL_LOSS_NAME, Objective
from studies.training.callbacks import Hooks, as_logs, numbers
from studies.training.checkpoint import TrialCheckpoint
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig

if TYPE_CHECKING:
    from lrrt.fit_loop import FitLoop


class TrialRun:
    """A trial and its losses so far.

    Args:
        loop: trains the trial.
        seed: the seed of the order of the data.
        objective: says which epoch is the best.
        hooks: the hooks of the trial's callbacks.
        judge: computes the metrics of the validation data if the loop may lack some of them; None if it lacks none that
            are read.
        parts: batches in each epoch, if an epoch is a part of the data and goes on where the one before stopped; empty
            if each epoch is all of the data.
        leaves_out_penalty: whether the losses are recorded without what regularizers add; callbacks see all of them.
        times_steps: whether nothing but steps may be timed, because trials are compared by the seconds of a step.
    """

    def __init__(
        self,
        loop: TrainingLoop | FitLoop,
        seed: int,
        objective: Objective,
        hooks: Hooks,
        judge: FitLoop | None,
        parts: Sequence[int] = (),
        *,
        leaves_out_penalty: bool = False,
        times_steps: bool = False,
    ) -> None:
        self.loop = loop
        self.objective = objective
        self.rng = np.random.default_rng(seed)
        self.rng_of_parts = np.random.default_rng(seed)  # a PyDataset draws from it while the trial runs
        self.parts = parts
        self.plans: Sequence[tuple[Any, ...]] = ()
        self.hooks = hooks
        self.judge = judge
        self.leaves_out_penalty = leaves_out_penalty
        self.is_in_one_call = judge is None and not hooks.any and not times_steps
        self.train_losses: list[float] = []
        self.val_losses: list[float] = []
        self.metrics: dict[str, list[float]] = {}
        self.best_weights: Values | None = None
        self.num_steps = 0
        self._step_seconds: list[float] = []

    def begin(self, weights: Values) -> None:
        """Put the loop at the beginning."""
        self.loop.restart(weights)
        self._lay_out_epochs()

    def take_up(self, checkpoint: TrialCheckpoint) -> None:
        """Put the loop at the point of the checkpoint."""
        self._lay_out_epochs(begin=len(checkpoint.val_losses))
        self.rng.bit_generator.state = dict(checkpoint.rng_state)
        self.loop.resume(checkpoint.weights, checkpoint.optimizer_values)
        self.train_losses, self.val_losses = list(checkpoint.train_losses), list(checkpoint.val_losses)
        self.metrics = {name: list(values) for name, values in checkpoint.metrics.items()}
        self.best_weights, self.num_steps = checkpoint.best_weights, checkpoint.num_steps

    @property
    def scores(self) -> tuple[float, ...]:
        """The value of the objective in each epoch so far."""
        return self.objective.values(self.train_losses, self.val_losses, self.metrics)

    @property
    def costs(self) -> tuple[float, ...]:
        """The value of the objective in each epoch so far, with the sign that makes lower better."""
        return self.objective.costs(self.scores)

    def metrics_so_far(self) -> dict[str, tuple[float, ...]]:
        """Return the values of each epoch besides the losses, by the key in Keras's logs."""
        return {name: tuple(values) for name, values in self.metrics.items()}

    def train_epoch(self, rates: NDArray[np.float32], momenta: NDArray[np.float32] | None) -> bool:
        """Train and validate one epoch; return whether all its losses were finite."""
        epoch = len(self.val_losses)  # Keras counts from 0
        self.show_rate(rates)
        self.hooks.tell("on_epoch_begin", epoch)
        shown = self._trained(rates, momenta, plan=self.plans[epoch] if self.plans else None)
        steps, validation = shown.steps, numbers(shown.validation)
        self.num_steps += len(steps.losses)
        logs = as_logs({**numbers(shown.training), TRAIN_LOSS: steps.mean_loss()}, validation)
        penalty = self.loop.penalty if self.leaves_out_penalty and validation else 0.0
        self._record({**logs, **{name: logs[name] - penalty for name in (TRAIN_LOSS, VAL_LOSS_NAME) if name in logs}})
        if self.objective.best_epoch(self.scores) == epoch + 1:
            self.best_weights = self.loop.snapshot()
        self.hooks.tell("on_epoch_end", epoch, logs)
        return steps.is_finite and bool(np.isfinite(self.val_losses[-1]))

    def show_rate(self, rates: NDArray[np.float32]) -> None:
        """Let callbacks that read the optimizer's rate before a step see that of the step, the first of these."""
        if self.hooks.any:
            self.loop.optimizer.learning_rate = rates[0]

    def checkpoint(self, number: int, config: TrialConfig, epochs: int, seed: int, seconds: float) -> TrialCheckpoint:
        """Copy all that the trial needs to go on from here."""
        return TrialCheckpoint(
            number=number,
            config=config,
            epochs=epochs,
            seed=seed,
            train_losses=tuple(self.train_losses),
            val_losses=tuple(self.val_losses),
            num_steps=self.num_steps,
            seconds=seconds,
            rng_state=self.rng.bit_generator.state,
            weights=self.loop.snapshot(),
            optimizer_values=read(self.loop.optimizer.variables),
            best_weights=self.best_weights,
            metrics=self.metrics_so_far(),
        )

    def _lay_out_epochs(self, begin: int = 0) -> None:
        """Draw which batches each epoch is trained on, from epoch number `begin` on, if they are parts of the data."""
        if self.parts:
            self.plans = self.loop.batches.plans(self.parts, self.rng_of_parts, begin=begin)

    def result(
        self, number: int, config: TrialConfig, state: TrialState, *, seconds: float, epochs: int
    ) -> TrialResult:
        """Return the trial as it ended; it has failed if its losses are finite but the objective never is."""
        num_ended = len(self.val_losses)
        result = TrialResult(
            number=number,
            config=config,
            state=state,
            train_losses=tuple(self.train_losses[:num_ended]),
            val_losses=tuple(self.val_losses),
            num_steps=self.num_steps,
            seconds=seconds,
            planned_epochs=epochs,
            objective=self.objective,
            seconds_per_step=median(self._step_seconds) if self._step_seconds else 0.0,
            metrics={name: values[:num_ended] for name, values in self.metrics_so_far().items()},
        )
        if result.score is None and state in (TrialState.COMPLETED, TrialState.PRUNED):
            return replace(result, state=TrialState.FAILED, error=_no_score(result))
        return result

    def _record(self, logs: Mapping[str, Any]) -> None:
        """Add what an epoch showed; a metric that it does not show is NaN, as all are if a loss is not finite."""
        num_before = len(self.train_losses)
        losses = [logs.get(name, math.nan) for name in (TRAIN_LOSS, VAL_LOSS_NAME)]
        self.train_losses.append(losses[0])
        self.val_losses.append(losses[1])
        shown = {name: value for name, value in logs.items() if isinstance(value, float) and np.isfinite(losses).all()}
        for name in {**self.metrics, **shown}:
            if name not in (TRAIN_LOSS, VAL_LOSS_NAME):
                before = self.metrics.setdefault(name, [math.nan] * num_before)
                before.append(shown.get(name, math.nan))

    def _trained(self, rates: Any, momenta: Any, plan: tuple[Any, ...] | None) -> Epoch:
        """Train and validate an epoch, in one call unless something comes in between."""
        if isinstance(self.loop, TrainingLoop) and self.loop.trains_epochs and self.is_in_one_call:
            began = time.perf_counter()
            shown = self.loop.epoch(rates, self.rng, momenta, plan=plan)
            self._add_time(began, shown.steps)
            return shown
        self.loop.metrics.begin()
        began = time.perf_counter()
        steps = self.loop.train(rates, self.rng, momenta, plan=plan)
        self._add_time(began, steps)
        training = self.loop.metrics.read()
        return Epoch(steps, training, self._validate() if steps.is_finite else {})

    def _add_time(self, began: float, steps: Steps) -> None:
        self._step_seconds.append((time.perf_counter() - began) / max(1, len(steps.losses)))

    def _validate(self) -> Mapping[str, Any]:
        """Return the loss and the metrics of the validation data."""
        self.hooks.tell("on_test_begin")
        others = {} if self.judge in (None, self.loop) else self.judge.validation_logs()
        logs = numbers({**others, **self.loop.validation_logs()})
        self.hooks.tell("on_test_end", logs)
        return logs


def _no_score(result: TrialResult) -> str:
    """Return why a trial has no score although its losses are finite."""
    name, epochs = result.objective.name, len(result.train_losses)
    if name not in result.metrics:
        return f"The objective {name} must be shown by the model of every trial, but this one does not show it."
    return f"The objective {name} must be finite in one epoch at least, but it is not in any of {epochs}."
