"""Train one trial: take a `TrialConfig`, return a `TrialResult`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from lrrt.initial_weights import ALIKE
from lrrt.jit_choice import Jit
from lrrt.loops import Loops
from lrrt.optimizers import START_LR
from lrrt.variables import Values, num_parameters
from studies.before_training.regularized import WITHOUT_PENALTIES, is_regularized
from studies.before_training.shown_metrics import find_objectives
from studies.before_training.space_check import check_space
from studies.before_training.validation_data import check_validation
from studies.judging.pruning import PATIENCE
from studies.objective import SECONDS_PER_STEP, VAL_LOSS, Objective
from studies.space.search_space import SearchSpace
from studies.training.callbacks import CallbackFactory, CallbackMaker, Hooks, want_batches
from studies.training.checkpoint import TrialCheckpoint
from studies.training.ended import OnEpoch, Trained
from studies.training.epochs import train_epochs
from studies.training.jit_chooser import Choices, JitChooser
from studies.training.loop_cache import LoopCache, built_if_possible
from studies.training.running_trial import TrialRun
from studies.training.time_limit import TimeLimit, TimeUp
from studies.training.trained_model import trained_model
from studies.training.trial_in_progress import TrialInProgress
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig

if TYPE_CHECKING:
    import keras

_LOG = logging.getLogger(__name__)


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
            schedule allows; see `studies.judging.pruning`. None trains every trial to its last epoch.
        max_trial_s: seconds after which a trial ends as timed out, with what it reached; None is no limit. In the main
            thread it also ends a callback that hangs.
        callbacks: `(config)` or `()` -> the trial's Keras callbacks. It is also called twice at once, to check the
            callbacks, and that they are new each time.
        jit: whether XLA trains, which draws other numbers for dropout: True, False, or "auto" if steps measured both
            ways show that it pays, see `lrrt.jit_choice`. A study stores what was chosen, for all trials of a kind.
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
        jit: Jit = "auto",
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
        self._jit = JitChooser(jit, self._note)
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
        check_space(space, self.cache.loops, self.epochs)

    def share_choices(self, choices: Choices, space: SearchSpace, num_trials: int) -> None:
        """Take the stored `choices` of a study of `num_trials` trials in `space`, and add to them."""
        self._jit.share(choices, space, num_trials)

    def as_built(self, config: TrialConfig) -> TrialConfig:
        """Return a trial's config without the hyperparameters that its model does not ask for under these values.

        A config whose model cannot be built is returned as it is, and fails when it is trained.
        """
        return built_if_possible(self.cache, config, self._note)

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
        """Return the model after a trial's best epoch, ready to be saved and evaluated; see `trained_model`."""
        return trained_model(self.cache.loops_of(result.config), result, weights, self.epochs)

    def _train(self, config: TrialConfig, number: int, resume: TrialCheckpoint | None, on_epoch: OnEpoch) -> Trained:
        began, earlier = time.monotonic(), 0.0 if resume is None else resume.seconds
        run: TrialRun | None = None
        state = TrialState.TIMED_OUT
        try:
            with TimeLimit(None if self.max_trial_s is None else self.max_trial_s - earlier) as limit:
                run, earlier = self._begin(config, resume)
                progress = TrialInProgress(number, config, self.epochs, self.seed, began - earlier, limit, on_epoch)
                with run.hooks.listening(), run.loop.running():
                    state = train_epochs(run, progress, self.cache.loops_of(config), self.patience)
        except TimeUp:
            pass
        seconds = round(earlier + time.monotonic() - began, 3)
        if run is None:
            untrained = TrialResult(number, config, state, seconds=seconds, objective=self.objective)
            return Trained(replace(untrained, planned_epochs=self.epochs), None)
        result = run.result(number, config, state, seconds=seconds, epochs=self.epochs)
        return Trained(replace(result, num_parameters=self.num_parameters(config)), run.best_weights)

    def _begin(self, config: TrialConfig, resume: TrialCheckpoint | None) -> tuple[TrialRun, float]:
        """Return the run of a trial at its first epoch or after its checkpoint, and the seconds that it took before."""
        callbacks = self._callbacks.make(config)
        fitting = self.cache.loop_of(config)
        reason = "a callback has hooks at every batch" if want_batches(callbacks) else fitting.reason
        if reason:
            self._note(f"trials go through model.fit, which takes many times longer: {reason}")
        loops = self.cache.loops_of(config)
        weights, num_batches = loops.initial_weights(self.seed), loops.num_batches(config.batch_size)
        if loops.drawn.are_alike:
            self._note(ALIKE)
        if not reason:
            num_steps = self.epochs * num_batches
            fitting.loop.uses_xla = self._jit.uses_xla(config, fitting.loop, weights, num_steps)
        hooks = Hooks(callbacks, fitting, epochs=self.epochs, steps=num_batches)
        has_metrics = len(fitting.model.metrics) > 1  # besides the loss
        judge = fitting if self._is_evaluated or (callbacks and has_metrics) else None
        parts = [loops.steps_per_epoch] * self.epochs if loops.steps_per_epoch else []
        loop, without = fitting if reason else fitting.loop, bool(config.own)
        timed = SECONDS_PER_STEP in self.objectives
        run = TrialRun(
            loop, self.seed, self.objective, hooks, judge, parts, leaves_out_penalty=without, times_steps=timed
        )
        if without and is_regularized(fitting.model):
            self._note(WITHOUT_PENALTIES)
        if resume is not None:
            resume.check_continues(config, epochs=self.epochs, seed=self.seed)
            if not callbacks:
                run.take_up(resume)
                return run, resume.seconds
            self._note("a trial that was interrupted begins again, because the memory of its callbacks is not stored")
        run.begin(weights)
        return run, 0.0
