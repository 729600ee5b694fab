"""Knows how to train one trial on the compiled loop: one TrialConfig in, one TrialResult out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lrrt.loops import Loops
from lrrt.optimizers import fresh_optimizer
from lrrt.training_loop import TrainingLoop, Values, assign
from studies.trial import TrialConfig, TrialResult, TrialState

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Trained:
    """A trial's result and the model's variables after its best epoch; None where no epoch had a finite loss."""

    result: TrialResult
    best_weights: Values | None


class Trainer:
    """Trains trials of one task; it knows neither engine.

    Every trial starts from the same initial weights and the same order of the data, those of `seed`: trials differ by
    their configs alone, so that comparing them is not comparing luck.

    Args:
        loops: the task's loops; they must have validation data.
        epochs: passes over the training data in each trial.
        seed: what initial weights and the order of the data come from.

    Raises:
        ValueError: where there is no validation data, or fewer than one epoch.
    """

    def __init__(self, loops: Loops, *, epochs: int, seed: int = 0) -> None:
        if epochs < 1:
            raise ValueError(f"`epochs` must be >= 1, got {epochs!r}.")
        if loops.validation is None:
            raise ValueError("A study must have validation data to score its trials, got none.")
        self.loops = loops
        self.epochs = epochs
        self.seed = seed

    def train(
        self, config: TrialConfig, *, number: int = 0, on_epoch: Callable[[int], None] = lambda epoch: None
    ) -> Trained:
        """Train one trial to its last epoch, or until a loss is not finite.

        Args:
            config: the trial's values.
            number: the trial's number in its study.
            on_epoch: told the number of each epoch that ended, from 1.
        """
        began = time.monotonic()
        loop = self.loops.get(config.optimizer_name, config.batch_size)
        num_batches = loop.batches.num_batches
        rates = config.learning_rates(self.epochs * num_batches).reshape(self.epochs, num_batches)
        loop.restart(self.loops.initial_weights(self.seed))
        run = _Run(loop, np.random.default_rng(self.seed))
        for epoch, epoch_rates in enumerate(rates, start=1):
            if not run.train_epoch(epoch_rates):
                break
            on_epoch(epoch)
        result = TrialResult(
            number=number,
            config=config,
            state=TrialState.COMPLETED if run.is_finite else TrialState.DIVERGED,
            train_losses=tuple(run.train_losses),
            val_losses=tuple(run.val_losses),
            num_steps=run.num_steps,
            seconds=round(time.monotonic() - began, 3),
        )
        return Trained(result, run.best_weights)

    def as_trained(self, result: TrialResult, weights: Values) -> keras.Model:
        """Return the model as a trial left it after its best epoch, ready to be saved and evaluated.

        Its optimizer is a fresh one of the trial's kind, at the rate which that epoch ended with.
        """
        assert result.best_epoch is not None, "a trial without a best epoch leaves no model"
        num_batches = self.loops.get(result.config.optimizer_name, result.config.batch_size).batches.num_batches
        rates = result.config.learning_rates(self.epochs * num_batches)
        pattern = self.loops.patterns[result.config.optimizer_name]
        model = self.loops.model
        model.optimizer = fresh_optimizer(pattern, float(rates[result.best_epoch * num_batches - 1]))
        assign(model.variables, weights)
        return model


class _Run:
    """What one trial has shown so far."""

    def __init__(self, loop: TrainingLoop, rng: np.random.Generator) -> None:
        self.loop = loop
        self.rng = rng
        self.train_losses: list[float] = []
        self.val_losses: list[float] = []
        self.best_weights: Values | None = None
        self.num_steps = 0
        self.is_finite = True

    def train_epoch(self, rates: NDArray[np.float32]) -> bool:
        """Train and validate one epoch; say whether all its losses were finite."""
        steps = self.loop.train(rates, self.rng)
        self.num_steps += len(steps.losses)
        self.train_losses.append(steps.mean_loss())
        loss = self.loop.validate() if steps.is_finite else float("nan")
        if steps.is_finite and np.isfinite(loss) and loss < min(self.val_losses, default=np.inf):
            self.best_weights = self.loop.snapshot()
        self.val_losses.append(loss)
        self.is_finite = steps.is_finite and bool(np.isfinite(loss))
        return self.is_finite
