"""Define a trial that runs: its number, when it began, and what its callers hear of each of its epochs."""

from __future__ import annotations

import time
from dataclasses import dataclass

from studies.training.checkpoint import TrialCheckpoint
from studies.training.ended import EpochEnded, OnEpoch
from studies.training.running_trial import TrialRun
from studies.training.time_limit import TimeLimit
from studies.trial_config import TrialConfig


@dataclass(frozen=True, slots=True)
class TrialInProgress:
    """A trial that runs; `began` is by the monotonic clock, before which its earlier seconds are counted."""

    number: int
    config: TrialConfig
    epochs: int
    seed: int
    began: float
    limit: TimeLimit
    on_epoch: OnEpoch

    def at_end_of(self, epoch: int, run: TrialRun) -> EpochEnded:
        """Return what callers hear when an epoch has ended."""

        def checkpoint() -> TrialCheckpoint:
            seconds = round(time.monotonic() - self.began, 3)
            return run.checkpoint(self.number, self.config, self.epochs, self.seed, seconds)

        return EpochEnded(
            self.number,
            self.config,
            epoch,
            self.epochs,
            tuple(run.train_losses),
            tuple(run.val_losses),
            checkpoint,
            run.metrics_so_far(),
            run.objective,
        )
