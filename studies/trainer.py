"""Train one trial: take a `TrialConfig`, return a `TrialResult`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lrrt.loops import Loops
from lrrt.optimizers import START_LR, fresh_optimizer, scaled_for
from lrrt.variables import Values, all_variables, assign, num_parameters, states_of
from studies.objective import VAL_LOSS, Objective
from studies.pruning import has_stopped_improving
from studies.space.search_space import SearchSpace
from studies.training.callbacks import CallbackFactory, CallbackMaker, Hooks, save_with_its_optimizer, want_batches
from studies.training.checkpoint import TrialCheckpoint
from studies.training.ended import EpochDecision, EpochEnded, OnEpoch, Trained
from studies.training.loop_cache import LoopCache
from studies.training.momentum import momentum_table
from studies.training.regularized import WITHOUT_PENALTIES, is_regularized
from studies.training.running_trial import TrialRun
from studies.training.shown_metrics import find_objectives
from studies.training.time_limit import TimeLimit, TimeUp
from studies.training.validation_data import check_validation
from studies.trial import TrialConfig, TrialResult, TrialState

if TYPE_CHECKING:
    import keras

PATIENCE = 0.25  # of the epochs
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Progress:
    """A trial that runs; `began` is by the monotonic clock, before which its earlier seconds are counted."""

    number: int
    config: TrialConfig
    began: float
    limit: TimeLimit
    on_epoch: OnEpoch


class Trainer:
    """Train the trials of one task, whichever engine proposed them.

    Every trial starts from the same initial weights and the same order of the data, which follow from `seed`. Trials
    therefore differ by their configs alone, not by luck.

    Trials run in the compiled loop. The hooks of their callbacks at epochs are called around it; `logs` have the loss
    and every metric, also those of the validation data, with the prefix `val_`. If a callback has hooks at batches, or
    the model cannot run in a graph, the trial goes through `model.fit`, step by step, with the same rates and order of
    the data, and `on_note` reports this once. If a callback raises, its trial fails. The memory of callbacks cannot be
    stored, so an interrupted trial with callbacks begins again.

    Args:
        loops: the task's loops, or a cache of them if trials differ by their model; they must have validation data.
        epochs: passes over the training data in each trial.
        seed: the seed of the initial weights and of the order of the data.
        objective: what trials are scored by: "val_loss", "loss", or a metric of the model with or without "val_". Of
            several, the first counts here; further ones may be "num_parameters" and "seconds_per_step".
        direction: of the first: "min", "max", or "auto" if Keras knows the direction of the metric; or a list with that
            of each objective.
        patience: a trial ends if its objective has not improved for this fraction of `epochs`, at times that its
            schedule allows; see `studies.pruning`. None trains every trial to its last epoch.
        max_trial_s: seconds after which a trial ends as timed out, with what it reached; None is no limit. In the main
            thread it also ends a callback that hangs.
        callbacks: `(config)` or `()` -> the trial's Keras callbacks. It is also called twice at once, to check the
            callbacks, and that they are new each time.
        on_note: called with a sentence for the user about how trials are trained.

    Raises:
        TypeError: for a function that makes no callbacks.
        ValueError: if there is no validation data, or it is not finite; for fewer than one epoch, a patience that is no
            fraction, an objective that the model does not show or whose direction is not known, or a callback that is
            not new, sets the learning rate or stores checkpoints to resume from.
    """

    def __init__(
        self,
        loops: Loops | LoopCache,
        *,
        epochs: int,
        seed: int = 0,
        objective: str | Sequence[str] = VAL_LOSS.name,
        direction: str | Sequence[str] = "auto",
        patience: float | None = PATIENCE,
        max_trial_s: float | None = None,
        callbacks: CallbackFactory | None = None,
        on_note: Callable[[str], None] = _LOG.warning,
    ) -> None:
        if epochs < 1:
            raise ValueError(f"`epochs` must be >= 1, got {epochs!r}.")
        if max_trial_s is not None and not 0 < max_trial_s < math.inf:
            raise ValueError(f"`max_trial_s` must be positive and finite, or None, got {max_trial_s!r}.")
        if patience is not None and not 0 < patience <= 1:
            raise ValueError(f"`patience` must be a fraction of the epochs, got {patience!r}.")
        self.cache = loops if isinstance(loops, LoopCache) else LoopCache(loops)
        check_validation(self.cache.loops.validation)
        self.objectives, self._is_evaluated = find_objectives(self.cache, objective, direction)
        self.epochs = epochs
        self.seed = seed
        self.patience = patience
        self.max_trial_s = max_trial_s
        self._callbacks = CallbackMaker(callbacks)
        self._note = cache(on_note)
        example = TrialConfig(self.cache.loops.labels[0], "fixed", START_LR, self.cache.loops.batch_size or 1)
        _ = [self._callbacks.make(example) for _ in range(2)]  # both exist until the second is checked

    @property
    def objective(self) -> Objective:
        """The first objective, by which trials are scored."""
        return self.objectives[0]

    def with_seed(self, seed: int) -> Trainer:
        """Return the same trainer with another seed."""
        other = copy(self)
        other.seed = seed
        return other

    def check_space(self, space: SearchSpace) -> None:
        """Refuse a space with batch sizes that the data cannot have, or schedules that need longer trainings.

        Raises:
            ValueError: for the first of them; for a schedule, with the steps that it needs at the largest batch size.
        """
        self.cache.loops.check_batch_sizes(space.batch_sizes)
        batch_size = max(space.batch_sizes)
        num_batches = self.cache.loops.num_batches(batch_size)
        try:
            space.check_num_steps(self.epochs * num_batches)
        except ValueError as error:
            raise ValueError(
                f"Every schedule must fit into epochs={self.epochs}, of {num_batches} batches of {batch_size}, but "
                f"{error}"
            ) from None

    def as_built(self, config: TrialConfig) -> TrialConfig:
        """Return a trial's config without the hyperparameters that its model does not ask for under these values.

        A config whose model cannot be built is returned as it is, and fails when it is trained.
        """
        try:
            built = self.cache.as_built(config)
        except Exception:  # the builder is the user's code, which may raise anything
            return config
        known = {*dict(built.own), *self.cache.loops.asked_hyperparameters}
        for name, value in self.cache.loops_of(built).asked_hyperparameters.items():
            if name not in known:
                self._note(
                    f"hyperparameter {name!r} is not searched: only some trials' models ask for it, and none of the "
                    f"builds before the study did; it keeps its default, {value!r}"
                )
        return built

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
            resume: the checkpoint from which an interrupted trial goes on.
            on_epoch: called after each epoch; it may answer that the trial is pruned. An exception from it, such as
                StopTraining, ends the training.

        Raises:
            ValueError: for a checkpoint of another trial, number of epochs or seed.
            MemoryError, tf.errors.ResourceExhaustedError: if there is no room; the trial's memory is freed.
        """
        with self.cache.room_for(config):
            return self._train(config, number, resume, on_epoch)

    def num_parameters(self, config: TrialConfig) -> int:
        """Return how many parameters a trial's model has."""
        return num_parameters(self.cache.loops_of(config).model)

    def as_trained(self, result: TrialResult, weights: Values) -> keras.Model:
        """Return the model after a trial's best epoch, ready to be saved and evaluated.

        Its optimizer is fresh, of the trial's kind, at the last rate of that epoch. States of recurrent layers are
        reset, since a saved model has none.
        """
        assert result.best_epoch is not None, "a trial without a best epoch leaves no model"
        loops = self.cache.loops_of(result.config)
        num_batches = loops.num_batches(result.config.batch_size)
        rates = result.config.learning_rates(self.epochs * num_batches)
        pattern = result.config.with_own_values(loops.patterns[result.config.optimizer_name])
        model = loops.model
        assign(all_variables(model), weights)
        states = [state for layer in model._flatten_layers() for state in states_of(layer)]
        assign(states, [np.zeros(state.shape) for state in states])
        fresh = fresh_optimizer(pattern, float(rates[result.best_epoch * num_batches - 1]))
        model.optimizer = scaled_for(model, fresh)
        model.optimizer.build(model.trainable_variables)  # after the weights, which some optimizers copy
        save_with_its_optimizer(model)
        return model

    def _train(self, config: TrialConfig, number: int, resume: TrialCheckpoint | None, on_epoch: OnEpoch) -> Trained:
        began, earlier = time.monotonic(), 0.0 if resume is None else resume.seconds
        run: TrialRun | None = None
        state = TrialState.TIMED_OUT
        try:
            with TimeLimit(None if self.max_trial_s is None else self.max_trial_s - earlier) as limit:
                run, earlier = self._begin(config, resume)
                progress = _Progress(number, config, began - earlier, limit, on_epoch)
                with run.hooks.listening():
                    state = self._train_epochs(run, progress)
        except TimeUp:
            pass
        seconds = round(earlier + time.monotonic() - began, 3)
        if run is None:
            untrained = TrialResult(number, config, state, seconds=seconds, objective=self.objective)
            return Trained(replace(untrained, planned_epochs=self.epochs), None)
        result = run.result(number, config, state, seconds=seconds, epochs=self.epochs)
        return Trained(replace(result, num_parameters=self.num_parameters(config)), run.best_weights)

    def _train_epochs(self, run: TrialRun, progress: _Progress) -> TrialState:
        """Train until something ends the trial; return its state."""
        config = progress.config
        rates, momenta = self._tables(config)
        state = TrialState.COMPLETED
        run.hooks.tell("on_train_begin")
        for epoch in range(len(run.val_losses) + 1, self.epochs + 1):
            if has_stopped_improving(config, run.costs, epochs=self.epochs, patience=self.patience):
                break
            if not run.train_epoch(rates[epoch - 1], None if momenta is None else momenta[epoch - 1]):
                state = TrialState.DIVERGED
                break
            with progress.limit.shielded():
                decision = progress.on_epoch(self._ended(run, progress, epoch))
            if decision is EpochDecision.PRUNE and epoch < self.epochs:
                state = TrialState.PRUNED
                break
            if run.hooks.want_to_stop:
                break
            if epoch < self.epochs:
                progress.limit.check()
        run.hooks.tell("on_train_end")
        return state

    def _ended(self, run: TrialRun, progress: _Progress, epoch: int) -> EpochEnded:
        def checkpoint() -> TrialCheckpoint:
            seconds = round(time.monotonic() - progress.began, 3)
            return run.checkpoint(progress.number, progress.config, self.epochs, self.seed, seconds)

        return EpochEnded(
            progress.number,
            progress.config,
            epoch,
            self.epochs,
            tuple(run.train_losses),
            tuple(run.val_losses),
            checkpoint,
            run.metrics_so_far(),
            self.objective,
        )

    def _begin(self, config: TrialConfig, resume: TrialCheckpoint | None) -> tuple[TrialRun, float]:
        """Return the run of a trial at its first epoch or after its checkpoint, and the seconds that it took before."""
        callbacks = self._callbacks.make(config)
        fitting = self.cache.loop_of(config)
        reason = "a callback has hooks at every batch" if want_batches(callbacks) else fitting.reason
        if reason:
            self._note(f"trials go through model.fit, which takes many times longer: {reason}")
        loops = self.cache.loops_of(config)
        hooks = Hooks(callbacks, fitting, epochs=self.epochs, steps=loops.num_batches(config.batch_size))
        has_metrics = len(fitting.model.metrics) > 1  # besides the loss
        judge = fitting if self._is_evaluated or (callbacks and has_metrics) else None
        parts = [loops.steps_per_epoch] * self.epochs if loops.steps_per_epoch else []
        loop, without = fitting if reason else fitting.loop, bool(config.own)
        run = TrialRun(loop, self.seed, self.objective, hooks, judge, parts, leaves_out_penalty=without)
        if without and is_regularized(fitting.model):
            self._note(WITHOUT_PENALTIES)
        if resume is not None:
            self._check_checkpoint(resume, config)
            if not callbacks:
                run.take_up(resume)
                return run, resume.seconds
            self._note("a trial that was interrupted begins again, because the memory of its callbacks is not stored")
        run.begin(loops.initial_weights(self.seed))
        return run, 0.0

    def _tables(self, config: TrialConfig) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return the rates and the momenta of each step, shape `(epochs, num_batches)`."""
        loops = self.cache.loops_of(config)
        shape = self.epochs, loops.num_batches(config.batch_size)
        num_steps = shape[0] * shape[1]
        pattern = loops.patterns[config.optimizer_name]
        momenta = momentum_table(config, pattern, num_steps)
        return config.learning_rates(num_steps).reshape(shape), None if momenta is None else momenta.reshape(shape)

    def _check_checkpoint(self, resume: TrialCheckpoint, config: TrialConfig) -> None:
        for name, before, now in (
            ("config", resume.config, config),
            ("epochs", resume.epochs, self.epochs),
            ("seed", resume.seed, self.seed),
        ):
            if before != now:
                raise ValueError(f"A trial must go on with the `{name}` that it began with, {before!r}, got {now!r}.")
