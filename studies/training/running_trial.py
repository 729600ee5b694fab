"""Train one trial epoch by epoch, and take or resume its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrrt.training_loop import TrainingLoop
from lrrt.variables import Values, read
from studies.training.callbacks import Hooks, as_logs
from studies.training.checkpoint import TrialCheckpoint
from studies.trial import TrialConfig

if TYPE_CHECKING:
    from lrrt.fit_loop import FitLoop


class TrialRun:
    """A trial and its losses so far.

    Args:
        loop: trains the trial.
        seed: the seed of the order of the data.
        hooks: the hooks of the trial's callbacks.
        judge: computes the metrics of the validation data, if a callback may read them; None if no callback will.
        parts: batches in each epoch, if an epoch is a part of the data and goes on where the one before stopped; empty
            if each epoch is all of the data.
    """

    def __init__(
        self,
        loop: TrainingLoop | FitLoop,
        seed: int,
        hooks: Hooks,
        judge: FitLoop | None,
        parts: Sequence[int] = (),
    ) -> None:
        self.loop = loop
        self.rng = np.random.default_rng(seed)
        self.rng_of_parts = np.random.default_rng(seed)  # a PyDataset draws from it while the trial runs
        self.parts = parts
        self.plans: Sequence[tuple[Any, ...]] = ()
        self.hooks = hooks
        self.judge = judge
        self.train_losses: list[float] = []
        self.val_losses: list[float] = []
        self.best_weights: Values | None = None
        self.num_steps = 0

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
        self.best_weights, self.num_steps = checkpoint.best_weights, checkpoint.num_steps

    def train_epoch(self, rates: NDArray[np.float32], momenta: NDArray[np.float32] | None) -> bool:
        """Train and validate one epoch; return whether all its losses were finite."""
        epoch = len(self.val_losses)  # Keras counts from 0
        self.hooks.tell("on_epoch_begin", epoch)
        if self.hooks.any:
            self.loop.metrics.begin()
        steps = self.loop.train(rates, self.rng, momenta, plan=self.plans[epoch] if self.plans else None)
        metrics = self.loop.metrics.read() if self.hooks.any else {}
        self.num_steps += len(steps.losses)
        self.train_losses.append(steps.mean_loss())
        logs = self._validate() if steps.is_finite else {}
        loss = logs.get("loss", float("nan"))
        if np.isfinite(loss) and loss < min(self.val_losses, default=np.inf):
            self.best_weights = self.loop.snapshot()
        self.val_losses.append(loss)
        self.hooks.tell("on_epoch_end", epoch, as_logs({**metrics, "loss": self.train_losses[-1]}, logs))
        return steps.is_finite and bool(np.isfinite(loss))

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
        )

    def _lay_out_epochs(self, begin: int = 0) -> None:
        """Draw which batches each epoch is trained on, from epoch number `begin` on, if they are parts of the data."""
        if self.parts:
            self.plans = self.loop.batches.plans(self.parts, self.rng_of_parts, begin=begin)

    def _validate(self) -> Mapping[str, Any]:
        """Return the validation loss, and the metrics if a callback may read them."""
        self.hooks.tell("on_test_begin")
        metrics = {} if self.judge is None else self.judge.validation_logs()
        loss = metrics["loss"] if self.loop is self.judge else self.loop.validate()
        logs = {**metrics, "loss": loss}
        self.hooks.tell("on_test_end", logs)
        return logs
