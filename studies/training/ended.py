"""Define what a trainer hands to its callers: after an epoch, and after a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from lrrt.variables import Values
from studies.objective import VAL_LOSS, Objective
from studies.training.checkpoint import TrialCheckpoint
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig


@dataclass(frozen=True, slots=True)
class Trained:
    """A trial's result and the model's variables after its best epoch; None if no epoch had a finite score."""

    result: TrialResult
    best_weights: Values | None


class StopTraining(KeyboardInterrupt):
    """Raised by a caller's `on_epoch` to end the whole run at the end of an epoch.

    It is a KeyboardInterrupt, because engines treat other exceptions as a failure of the trial.
    """


class EpochDecision(Enum):
    """The answer of a caller's `on_epoch`; the value is the sentence shown."""

    GO_ON = "train on"
    PRUNE = "end this trial here"


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """A trial at the end of an epoch, the argument of `on_epoch`.

    Attributes:
        number: the trial's number in its study.
        config: its values.
        epoch: the epoch that has ended, counted from 1.
        epochs: the planned number of epochs.
        train_losses: of each epoch so far.
        val_losses: of each epoch so far.
        checkpoint: copies all that the trial needs to go on from here, which takes as long as reading the model's
            variables; None if an interrupted trial begins again.
        metrics: of each epoch so far, by the key in Keras's logs.
        objective: what the trial is scored by.
        fold_scores: the scores of the folds that have ended, if the trial is trained on folds.
    """

    number: int
    config: TrialConfig
    epoch: int
    epochs: int
    train_losses: tuple[float, ...]
    val_losses: tuple[float, ...]
    checkpoint: Callable[[], TrialCheckpoint] | None
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    objective: Objective = VAL_LOSS
    fold_scores: tuple[float, ...] | None = None

    def so_far(self) -> TrialResult:
        """Return the trial as if it had ended here."""
        return TrialResult(
            self.number,
            self.config,
            TrialState.COMPLETED,
            self.train_losses,
            self.val_losses,
            planned_epochs=self.epochs,
            objective=self.objective,
            metrics=self.metrics,
        )


OnEpoch = Callable[[EpochEnded], EpochDecision | None]
