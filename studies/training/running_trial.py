"""Train one trial epoch by epoch, and take or resume its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
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
        leaves_out_penalty: whether the losses are recorded without what regularizers add; callbacks see all of them.
    """

    def __init__(
        self,
        loop: TrainingLoop | FitLoop,
        seed: int,
        hooks: Hooks,
        judge: FitLoop | None,
        *,
        leaves_out_penalty: bool = False,
    ) -> None:
        self.loop = loop
        self.rng = np.random.default_rng(seed)
        self.hooks = hooks
        self.judge = judge
        self.leaves_out_penalty = leaves_out_penalty
        self.train_losses: list[float] = []
        self.val_losses: list[float] = []
        self.best_weights: Values | None = None
        self.num_steps = 0

    def begin(self, weights: Values) -> None:
        """Put the loop at the beginning."""
        self.loop.restart(weights)

    def take_up(self, checkpoint: TrialCheckpoint) -> None:
        """Put the loop at the point of the checkpoint."""
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
        steps = self.loop.train(rates, self.rng, momenta)
        metrics = self.loop.metrics.read() if self.hooks.any else {}
        self.num_steps += len(steps.losses)
        train_loss = steps.mean_loss()
        logs = self._validate() if steps.is_finite else {}
        penalty = self.loop.penalty if self.leaves_out_penalty and steps.is_finite else 0.0
        self.train_losses.append(train_loss - penalty)
        loss = logs.get("loss", float("nan")) - penalty
        if np.isfinite(loss) and loss < min(self.val_losses, default=np.inf):
            self.best_weights = self.loop.snapshot()
        self.val_losses.append(loss)
        self.hooks.tell("on_epoch_end", epoch, as_logs({**metrics, "loss": train_loss}, logs))
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

    def _validate(self) -> Mapping[str, Any]:
        """Return the validation loss, and the metrics if a callback may read them."""
        self.hooks.tell("on_test_begin")
        metrics = {} if self.judge is None else self.judge.validation_logs()
        loss = metrics["loss"] if self.loop is self.judge else self.loop.validate()
        logs = {**metrics, "loss": loss}
        self.hooks.tell("on_test_end", logs)
        return logs
