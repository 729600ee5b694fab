"""Knows how to train one trial on the compiled loop: one TrialConfig in, one TrialResult out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from lrrt.loops import Loops
from lrrt.optimizers import fresh_optimizer
from lrrt.training_loop import TrainingLoop, Values, assign, read
from studies.checkpoint import TrialCheckpoint
from studies.loop_cache import LoopCache
from studies.momentum import momentum_table
from studies.pruning import has_stopped_improving
from studies.trial import TrialConfig, TrialResult, TrialState

if TYPE_CHECKING:
    import keras

PATIENCE = 0.25  # of the epochs


@dataclass(frozen=True, slots=True)
class Trained:
    """A trial's result and the model's variables after its best epoch; None where no epoch had a finite loss."""

    result: TrialResult
    best_weights: Values | None


class StopTraining(KeyboardInterrupt):
    """Raised by a caller's `on_epoch` to end the whole run at the end of an epoch.

    As a KeyboardInterrupt it passes through engines, which take other exceptions for a failure of the trial.
    """


class EpochDecision(Enum):
    """What a caller's `on_epoch` may answer; the value is the sentence shown."""

    GO_ON = "train on"
    PRUNE = "end this trial here"


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """What `on_epoch` is told: a trial at the end of an epoch. Epochs count from 1."""

    number: int
    config: TrialConfig
    epoch: int
    epochs: int
    train_losses: tuple[float, ...]
    val_losses: tuple[float, ...]
    checkpoint: Callable[[], TrialCheckpoint]
    """Copies all that the trial needs to go on from here; takes as long as reading the model's variables."""


OnEpoch = Callable[[EpochEnded], EpochDecision | None]


class Trainer:
    """Trains trials of one task; it knows neither engine.

    Every trial starts from the same initial weights and the same order of the data, those of `seed`: trials differ by
    their configs alone, so that comparing them is not comparing luck.

    Args:
        loops: the task's loops, or a cache of them where trials differ by their model; they must have validation data.
        epochs: passes over the training data in each trial.
        seed: what initial weights and the order of the data come from.
        patience: a trial ends where its validation loss has not improved for this fraction of `epochs`, at times that
            its schedule allows; see `studies.pruning`. None trains every trial to its last epoch.

    Raises:
        ValueError: where there is no validation data, fewer than one epoch, or a patience that is no fraction.
    """

    def __init__(
        self, loops: Loops | LoopCache, *, epochs: int, seed: int = 0, patience: float | None = PATIENCE
    ) -> None:
        if epochs < 1:
            raise ValueError(f"`epochs` must be >= 1, got {epochs!r}.")
        if patience is not None and not 0 < patience <= 1:
            raise ValueError(f"`patience` must be a fraction of the epochs, got {patience!r}.")
        self.cache = loops if isinstance(loops, LoopCache) else LoopCache(loops)
        if self.cache.loops.validation is None:
            raise ValueError("A study must have validation data to score its trials, got none.")
        self.epochs = epochs
        self.seed = seed
        self.patience = patience

    def with_seed(self, seed: int) -> Trainer:
        """Return a trainer that differs by its seed alone."""
        return Trainer(self.cache, epochs=self.epochs, seed=seed, patience=self.patience)

    def train(
        self,
        config: TrialConfig,
        *,
        number: int = 0,
        resume: TrialCheckpoint | None = None,
        on_epoch: OnEpoch = lambda ended: None,
    ) -> Trained:
        """Train one trial until its last epoch, a loss that is not finite, or until it stopped improving.

        Args:
            config: the trial's values.
            number: the trial's number in its study.
            resume: where the trial was interrupted; it goes on from there.
            on_epoch: told of each epoch that ended; it may answer that the trial is pruned, and what it raises, such as
                StopTraining, ends the training.

        Raises:
            ValueError: for a checkpoint of another trial, number of epochs or seed.
        """
        began = time.monotonic()
        loop = self.cache.loop_of(config)
        num_batches = loop.batches.num_batches
        rates = config.learning_rates(self.epochs * num_batches).reshape(self.epochs, num_batches)
        pattern = self.cache.loops_of(config).patterns[config.optimizer_name]
        momenta = momentum_table(config, pattern, self.epochs * num_batches)
        momenta = None if momenta is None else momenta.reshape(rates.shape)
        if resume is None:
            loop.restart(self.cache.loops_of(config).initial_weights(self.seed))
            run = _Run(loop, np.random.default_rng(self.seed))
        else:
            self._check_checkpoint(resume, config)
            run = _Run.resumed(loop, resume)
        earlier = 0.0 if resume is None else resume.seconds

        def seconds() -> float:
            return round(earlier + time.monotonic() - began, 3)

        def checkpoint() -> TrialCheckpoint:
            return run.checkpoint(number, config, self.epochs, self.seed, seconds())

        state = TrialState.COMPLETED
        for epoch in range(len(run.val_losses) + 1, self.epochs + 1):
            if has_stopped_improving(config, run.val_losses, epochs=self.epochs, patience=self.patience):
                break
            if not run.train_epoch(rates[epoch - 1], None if momenta is None else momenta[epoch - 1]):
                state = TrialState.DIVERGED
                break
            losses = tuple(run.train_losses), tuple(run.val_losses)
            decision = on_epoch(EpochEnded(number, config, epoch, self.epochs, *losses, checkpoint))
            if decision is EpochDecision.PRUNE and epoch < self.epochs:
                state = TrialState.PRUNED
                break
        result = TrialResult(
            number=number,
            config=config,
            state=state,
            train_losses=tuple(run.train_losses),
            val_losses=tuple(run.val_losses),
            num_steps=run.num_steps,
            seconds=seconds(),
            planned_epochs=self.epochs,
        )
        return Trained(result, run.best_weights)

    def as_trained(self, result: TrialResult, weights: Values) -> keras.Model:
        """Return the model as a trial left it after its best epoch, ready to be saved and evaluated.

        Its optimizer is a fresh one of the trial's kind, at the rate which that epoch ended with.
        """
        assert result.best_epoch is not None, "a trial without a best epoch leaves no model"
        num_batches = self.cache.loop_of(result.config).batches.num_batches
        rates = result.config.learning_rates(self.epochs * num_batches)
        loops = self.cache.loops_of(result.config)
        pattern = result.config.with_own_values(loops.patterns[result.config.optimizer_name])
        model = loops.model
        model.optimizer = fresh_optimizer(pattern, float(rates[result.best_epoch * num_batches - 1]))
        assign(model.variables, weights)
        return model

    def _check_checkpoint(self, resume: TrialCheckpoint, config: TrialConfig) -> None:
        for name, kept, wanted in (
            ("config", resume.config, config),
            ("epochs", resume.epochs, self.epochs),
            ("seed", resume.seed, self.seed),
        ):
            if kept != wanted:
                raise ValueError(f"A trial must go on with the `{name}` that it began with, {kept!r}, got {wanted!r}.")


class _Run:
    """What one trial has shown so far."""

    def __init__(self, loop: TrainingLoop, rng: np.random.Generator) -> None:
        self.loop = loop
        self.rng = rng
        self.train_losses: list[float] = []
        self.val_losses: list[float] = []
        self.best_weights: Values | None = None
        self.num_steps = 0

    @classmethod
    def resumed(cls, loop: TrainingLoop, kept: TrialCheckpoint) -> Self:
        """Put the loop where the checkpoint was taken."""
        rng = np.random.default_rng()
        rng.bit_generator.state = dict(kept.rng_state)
        run = cls(loop, rng)
        loop.restart(kept.weights)
        assign(loop.optimizer.variables, kept.optimizer_values)
        run.train_losses, run.val_losses = list(kept.train_losses), list(kept.val_losses)
        run.best_weights, run.num_steps = kept.best_weights, kept.num_steps
        return run

    def train_epoch(self, rates: NDArray[np.float32], momenta: NDArray[np.float32] | None) -> bool:
        """Train and validate one epoch; say whether all its losses were finite."""
        steps = self.loop.train(rates, self.rng, momenta)
        self.num_steps += len(steps.losses)
        self.train_losses.append(steps.mean_loss())
        loss = self.loop.validate() if steps.is_finite else float("nan")
        if steps.is_finite and np.isfinite(loss) and loss < min(self.val_losses, default=np.inf):
            self.best_weights = self.loop.snapshot()
        self.val_losses.append(loss)
        return steps.is_finite and bool(np.isfinite(loss))

    def checkpoint(self, number: int, config: TrialConfig, epochs: int, seed: int, seconds: float) -> TrialCheckpoint:
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
