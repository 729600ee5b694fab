"""Define the hooks that follow a study while it runs."""

from __future__ import annotations

from functools import cached_property

import lrrt.watcher
from studies.sharing.pieces import Key
from studies.training.checkpoint import TrialCheckpoint
from studies.training.ended import EpochDecision, EpochEnded, Trained
from studies.trial import TrialResult


class Watcher(lrrt.watcher.Watcher):
    """Follow a study; override the hooks that you need. An exception from a hook ends the study, like StopTraining."""

    def on_epoch_end(self, ended: EpochEnded) -> EpochDecision | None:
        """Be called after an epoch unless its trial is cut; return whether to cut it all the same."""

    def on_trial_end(self, trained: Trained) -> None:
        """Be called with a trial of this process before it is stored."""

    def on_result(self, result: TrialResult) -> None:
        """Hear of a trial that another process, or an earlier run, stored."""

    def on_wait(self) -> None:
        """Be called during a wait for the storage or for other processes."""

    def may_train(self) -> bool:
        """Say whether this process may take a trial now; if not, it waits for others."""
        return True

    def on_training_end(self, name: str, trained: Trained) -> None:
        """Be called with a further training of a trial before it is stored; the name is its seed or fold: "seed 1"."""

    def checkpoint_of(self, key: Key) -> TrialCheckpoint | None:
        """Return the checkpoint from which a training goes on, or None; it must be of the same values and seed.

        It is called before each training.

        Args:
            key: the number of a trial, the key of a later part of it, or the name of a further training.
        """
        return self._paused.pop(key, None)

    def on_pause(self, key: Key, checkpoint: TrialCheckpoint) -> None:
        """Keep the checkpoint of a trial that stays behind at a rung; the memory of this process keeps it by default.

        If it is lost, a trial that is promoted is trained from its beginning.

        Args:
            key: of the part of the trial that goes on from there if it is promoted.
            checkpoint: of the end of its last epoch.
        """
        self._paused[key] = checkpoint

    def on_left(self, key: Key) -> None:
        """Forget the checkpoint of a part of a trial that will never be trained."""
        self._paused.pop(key, None)

    @cached_property
    def _paused(self) -> dict[Key, TrialCheckpoint]:
        return {}
