"""Follow a study while it runs."""

from __future__ import annotations

import lrrt.watcher
from studies.storage.board import Key
from studies.trainer import EpochDecision, EpochEnded, Trained
from studies.training.checkpoint import TrialCheckpoint
from studies.trial import TrialResult


class Watcher(lrrt.watcher.Watcher):
    """Hears what happens in a study; override what you need. What it raises ends the study, as StopTraining does."""

    def on_epoch_end(self, ended: EpochEnded) -> EpochDecision | None:
        """Hear of an epoch after which its trial is not cut, and decide whether it is cut all the same."""

    def on_trial_end(self, trained: Trained) -> None:
        """Hear of a trial of this process before it is stored."""

    def on_result(self, result: TrialResult) -> None:
        """Hear of a trial that another process, or an earlier run, stored."""

    def on_wait(self) -> None:
        """Be called while the storage or other processes are waited for."""

    def may_train(self) -> bool:
        """Say whether this process may take a trial now; if not, it waits for others."""
        return True

    def on_training_end(self, name: str, trained: Trained) -> None:
        """Hear of a further training of a trial before it is stored; the name says what it is on, as "seed 1"."""

    def checkpoint_of(self, key: Key) -> TrialCheckpoint | None:
        """Return where a training was interrupted, if it was; it goes on from there if it is given the same values.

        It is asked before each training.

        Args:
            key: the number of a trial, or the text that names a further training.
        """
