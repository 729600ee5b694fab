"""Knows how Optuna proposes the trials of a study and remembers them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from studies.claimed_trials import ClaimedTrials, Propose
from studies.engines.optuna_samplers import check_sampler, make_sampler, quiet_optuna
from studies.space.search_space import SearchSpace
from studies.storage.database import Retrying, open_storage
from studies.storage.slot_queue import SlotQueue
from studies.storage.slots import RESULT, StudyProgress
from studies.storage.stored_study import SPACE, kept_attributes, make_own, open_kept
from studies.storage.worker import Worker
from studies.study import OnTrial, OnWait, Resume, TrialRunner, nothing_kept
from studies.trainer import OnEpoch, Trainer
from studies.trial import TrialResult

GRACE_S = 60.0  # without a sign of life; a worker that the network lost for longer loses one trial's work, no more
POLL_S = 2.0  # between looks at the trials of other workers, when they are all that is left
IN_MEMORY = "sqlite://"  # names, for messages that never come, what no other process can reach


class OptunaStudy:
    """A study whose trials Optuna proposes, kept in an Optuna storage, resumable from it and shared through it.

    Its budget is slots: a worker claims one, trains a trial for it, and goes on until none is left. One process is one
    worker; any number of them, on any machines, may work on a storage that they all reach. The slot of a worker that
    was killed, lost or stopped waits again, with the values that its trial had, so that each slot ends once.

    The first trials are what the range tests suggest. A diverged trial is told as a finite penalty; a trial that
    raises is told as failed, and the study goes on.

    Args:
        space: what is searched.
        storage: a URL such as `sqlite:///study.db`; None keeps the study in memory.
        name: the study's name in its storage.
        sampler: "tpe", "random", "qmc", or, where their packages are installed, "gp" (torch) or "cmaes" (cmaes).
        seed: what the sampler's choices come from, together with the first slot that a worker claims.
        prunes: whether a trial is cut that is worse than its peers; see `studies.pruning`.
        max_gap: the largest generalisation gap, validation minus training loss at the best epoch, that a trial may
            have; a constraint to the sampler, if it knows any.
        known: results of another study, told to the sampler of a new one where they lie in the space; they do not
            count.
        attributes: plain data kept in a new study, for those who join it; see `studies.kept_attributes`.
        propose: gives the values of trials in place of the sampler.
        creates: whether a study that is not there is made.
        worker: this process; by default named by its batch scheduler, or by host and pid.
        grace_s: after how long without a sign of life a worker is taken for lost.

    Raises:
        ValueError: for an unknown sampler.
        ImportError: where a package that the sampler needs is not installed.
        ForeignStudy: where the storage has a study of this name and another space.
        NoSuchStudy: where there is no study, and none must be made.
        StorageUnreachable: where the storage does not answer; all other methods raise it too.
        StorageOfAnotherVersion: where another version of Optuna made the storage.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        storage: str | None = None,
        name: str = "lrrt",
        sampler: str = "tpe",
        seed: int = 0,
        prunes: bool = False,
        max_gap: float | None = None,
        known: Sequence[TrialResult] = (),
        attributes: Mapping[str, Any] | None = None,
        propose: Propose | None = None,
        creates: bool = True,
        worker: Worker | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        check_sampler(sampler)
        self.space = space
        self._sampler, self._seed = sampler, seed
        self._prunes = prunes
        self._retry = Retrying(storage or IN_MEMORY)
        with quiet_optuna():
            database = None if storage is None else open_storage(storage, creates=creates)
            self.study, kept = open_kept(name, database, creates=creates)
        self._slots = SlotQueue(
            self.study,
            kept,
            database,
            worker=worker or Worker.here(),
            grace_s=grace_s,
            suggestions=space.suggested_parameters(),
        )
        self._trials = ClaimedTrials(self.study, self._slots, space, propose, seed, max_gap)
        self._retry(lambda: make_own(self.study, space, known, attributes or {}))

    @classmethod
    def join(cls, storage: str, *, name: str = "lrrt", **options: Any) -> Self:
        """Open a study that others made, with the space that it was made with.

        Args:
            storage: its URL.
            name: the study's name in it.
            options: all others of this class.

        Raises:
            NoSuchStudy: where it is not there.
        """
        space = SearchSpace.from_dict(kept_attributes(storage, name)[SPACE])
        return cls(space, storage=storage, name=name, creates=False, **options)

    def run(
        self,
        trainer: Trainer,
        *,
        num_trials: int,
        on_trial: OnTrial = lambda trained: None,
        on_epoch: OnEpoch = lambda ended: None,
        resume: Resume = nothing_kept,
        on_wait: OnWait = lambda: None,
    ) -> Sequence[TrialResult]:
        """Go on until `num_trials` trials have ended, those of earlier runs and of other workers included.

        Args:
            trainer: trains the trials.
            num_trials: completed, pruned, diverged and failed ones all count.
            on_trial: told of each trial before the storage is; what it raises ends the run.
            on_epoch: told of each epoch that ended; what it raises, such as StopTraining, ends the run.
            resume: gives what `on_epoch` kept of a trial, by its number, if anything; it goes on from there.
            on_wait: called while the storage or other workers are waited for; what it raises ends the run.

        Returns:
            The results of all trials that have ended, in the order of their numbers.
        """
        self.add_slots(num_trials)
        while True:
            self.work(
                trainer, num_trials=num_trials, on_trial=on_trial, on_epoch=on_epoch, resume=resume, on_wait=on_wait
            )
            if self._retry(self._slots.table).has_ended(num_trials):
                return self.results()
            on_wait()
            time.sleep(random.uniform(POLL_S / 2, POLL_S))

    def add_slots(self, num_trials: int) -> None:
        """Make the study's budget so many trials; those that it has stay."""
        self._retry(lambda: self._slots.add(num_trials))

    def work(
        self,
        trainer: Trainer,
        *,
        num_trials: int | None = None,
        on_trial: OnTrial = lambda trained: None,
        on_epoch: OnEpoch = lambda ended: None,
        resume: Resume = nothing_kept,
        on_wait: OnWait = lambda: None,
    ) -> int:
        """Claim slots and train their trials until none waits; other workers may still be at theirs.

        Args:
            num_trials: the slots that may be claimed; None for all that the study has.

        The other arguments are those of `run`.

        Returns:
            How many trials this worker trained.
        """
        retry = Retrying(self._retry.url, self._retry.give_up_after_s, on_wait)
        trainer.check_space(self.space)
        runner = TrialRunner(trainer, self._prunes, on_trial, on_epoch, resume)
        num_trained = 0
        has_sampler = False
        retry(self._put_back)
        while True:
            limit = retry(lambda: self._slots.num_slots) if num_trials is None else num_trials
            claimed = self._slots.claim(retry, limit)
            if claimed is None and retry(self._put_back):
                continue
            if claimed is None:
                return num_trained
            if not has_sampler:
                num_suggested = len(self.space.suggested_parameters())
                self.study.sampler = make_sampler(self._sampler, self._seed, claimed.slot, num_suggested=num_suggested)
                has_sampler = True
            num_trained += self._trials.train(claimed, runner, retry)

    def put_back(self) -> int:
        """Have the slots of lost workers wait again with the same values; return of how many.

        A worker is lost where it was started again, where its process on this machine has ended, and where it gave no
        sign of life for the study's grace.
        """
        return self._retry(self._put_back)

    def _put_back(self) -> int:
        table = self._slots.table()
        num_back = 0
        for trial in self._slots.lost_running(table):
            if RESULT in trial.user_attrs:  # it was killed between its end and telling so
                self._trials.tell(trial.number, TrialResult.from_dict(trial.user_attrs[RESULT]))
            else:
                num_back += self._slots.give_back(trial)
        for trial in table.surplus:
            self._slots.fail(trial)
        return num_back

    @property
    def num_slots(self) -> int:
        """The budget: how many trials the study has in all."""
        return self._retry(lambda: self._slots.num_slots)

    def progress(self) -> StudyProgress:
        """Read how far the study has come, and when its workers were last seen."""
        return self._retry(self._slots.progress)

    def results(self) -> Sequence[TrialResult]:
        """Return the trials that have ended, in the order of their numbers."""
        return self._retry(lambda: self._slots.results(self._slots.table()))
