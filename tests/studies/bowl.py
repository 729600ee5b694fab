"""A trainer without TensorFlow: gradient descent on a bowl, which is known to diverge above a rate."""

import math
import os
import signal
import time
from functools import partial

import numpy as np

from studies import EpochDecision, EpochEnded, Objective, Trained, TrialCheckpoint, TrialResult, TrialState, Watcher

CURVATURE = 4.0  # gradient descent diverges above 2 / CURVATURE
OVERFLOW = 1e300


class Bowl:
    """Trains as `studies.Trainer` does, on `CURVATURE / 2 * x**2` from x = 1, at the fixed rate `lr`.

    `metric(config, epoch)` is the value of the objective's metric, if that is not the loss; `size(config)` is the
    number of parameters of a model.
    """

    def __init__(
        self,
        epochs=8,
        steps=5,
        raises=lambda config: None,
        kill_at=None,
        epoch_s=0.0,
        objective=Objective(),  # noqa: B008  # it is frozen
        metric=None,
        size=lambda config: 1,
        further=(),
    ):
        self.epochs, self.steps, self.raises, self.kill_at, self.epoch_s = epochs, steps, raises, kill_at, epoch_s
        self.objective, self.metric, self.size = objective, metric, size
        self.objectives = (objective, *further)
        self.trained = []
        self.num_epochs = 0  # that were trained, in all trials

    seed = 0
    max_trial_s = None

    def num_parameters(self, config):
        return self.size(config)

    def check_space(self, space):
        """Take any: its steps are enough for every schedule."""

    def share_choices(self, choices, space, num_trials):
        """Take none: nothing is compiled."""

    def as_built(self, config):
        """Return the config: every hyperparameter exists in every trial."""
        return config

    def train(self, config, *, number=0, resume=None, on_epoch=lambda ended: None):
        if number == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.trained.append(config)
        error = self.raises(config)
        if error:
            raise error
        x, losses, state = 1.0, [], TrialState.COMPLETED
        if resume is not None:
            x, losses = float(resume.weights[0]), list(resume.val_losses)
        for epoch in range(len(losses) + 1, self.epochs + 1):
            time.sleep(self.epoch_s)
            self.num_epochs += 1
            x *= (1 - config.lr * CURVATURE) ** self.steps
            loss = CURVATURE / 2 * x * x if abs(x) < 1e150 else math.inf
            losses.append(loss)
            if not loss < OVERFLOW or (config.lr > 2 / CURVATURE and loss > 1e3):
                state = TrialState.DIVERGED
                losses[-1] = math.nan
                break
            shown = self.shown(config, len(losses))
            keep = partial(self.checkpoint, number, config, tuple(losses), x)
            ended = EpochEnded(number, config, epoch, self.epochs, tuple(losses), tuple(losses), keep, **shown)
            decision = on_epoch(ended)
            if decision is EpochDecision.PRUNE and epoch < self.epochs:
                state = TrialState.PRUNED
                break
        num_steps = len(losses) * self.steps
        shown = {**self.shown(config, len(losses)), "num_parameters": self.size(config)}
        curves = tuple(losses), tuple(losses)
        result = TrialResult(number, config, state, *curves, num_steps, 0.0, planned_epochs=self.epochs, **shown)
        return Trained(result, None)

    def checkpoint(self, number, config, losses, x):
        steps, weights = len(losses) * self.steps, [np.array(x)]
        return TrialCheckpoint(
            number, config, self.epochs, self.seed, losses, losses, steps, 0.0, {}, weights, [], None
        )

    def shown(self, config, num_epochs):
        if self.metric is None:
            return {"objective": self.objective}
        values = tuple(self.metric(config, epoch) for epoch in range(1, num_epochs + 1))
        return {"objective": self.objective, "metrics": {self.objective.name: values}}


class Heard(Watcher):
    """A watcher made of functions, by the names of its methods."""

    def __init__(self, **methods):
        vars(self).update(methods)
