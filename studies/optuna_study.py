"""Knows how Optuna proposes the trials of a study and remembers them."""

from __future__ import annotations

import contextlib
import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from studies.dimension import Value
from studies.heartbeat import Heartbeat
from studies.optuna_samplers import check_sampler, distribution, make_sampler, quiet_optuna
from studies.slot_queue import Claimed, SlotQueue
from studies.slots import EXHAUSTED, RESULT, SlotTable, StudyProgress, values_of
from studies.space import SearchSpace
from studies.storage import NoSuchStudy, Retrying, address, open_storage, write_curve
from studies.study import OnTrial, OnWait, Resume, Told, TrialRunner, excess_gap, nothing_kept, told_of, told_score
from studies.trainer import OnEpoch, Trainer
from studies.trial import TrialConfig, TrialResult, TrialState
from studies.workers import Worker

if TYPE_CHECKING:
    import optuna

SPACE = "space"  # the study attribute that holds the search space
GRACE_S = 60.0  # without a sign of life; a worker that the network lost for longer loses one trial's work, no more
POLL_S = 2.0  # between looks at the trials of other workers, when they are all that is left
GIVE_BACK_S = 5.0  # for which a worker that is told to stop tries to give its slot back; a scheduler waits 30 s
IN_MEMORY = "sqlite://"  # names, for messages that never come, what no other process can reach


Propose = Callable[[int, Sequence[TrialResult], Sequence[dict[str, Value]], Sequence[Told]], dict[str, Value] | None]
"""(a trial's number, the results, the values in training, what is known) -> its values; None where nothing is left."""


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
        attributes: plain data kept in a new study, for those who join it; see `kept_attributes`.
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
        self._prunes, self._max_gap = prunes, max_gap
        self._propose = propose
        self._retry = Retrying(storage or IN_MEMORY)
        with quiet_optuna():
            database = None if storage is None else open_storage(storage, creates=creates)
            self.study, kept = _open(name, database, creates=creates)
        self._slots = SlotQueue(
            self.study,
            kept,
            database,
            worker=worker or Worker.here(),
            grace_s=grace_s,
            suggestions=space.suggested_parameters(),
        )
        self._retry(lambda: self._claim_name(known, attributes or {}))

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
                self.study.sampler = make_sampler(self._sampler, self._seed, claimed.slot)
                has_sampler = True
            num_trained += self._train(claimed, runner, retry)

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
                self._tell(trial.number, TrialResult.from_dict(trial.user_attrs[RESULT]))
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

    def _train(self, claimed: Claimed, runner: TrialRunner, retry: Retrying) -> bool:
        """Train the trial of a slot that was claimed; say whether it counts, or was taken over by another worker."""
        try:
            with self._beating(claimed) as check:
                table = retry(self._slots.table)
                results = self._slots.results(table)
                if self._propose is not None:
                    retry(lambda: self._ask_proposer(claimed, table, results))
                trial, config = retry(lambda: self._suggested(claimed))
                result = runner.run(config, results, number=claimed.slot, check=check).result
                retry(lambda: self._finish(trial, result))
        except (_TakenOver, _NothingLeft):
            return False
        except BaseException:
            with contextlib.suppress(Exception):  # who starts next finds that this process has ended
                Retrying(retry.url, GIVE_BACK_S)(lambda: self._give_back(claimed))
            raise
        return True

    @contextmanager
    def _beating(self, claimed: Claimed) -> Iterator[Any]:
        """Show signs of life while the block runs; yield what raises where the trial was taken over."""
        database = self._slots.database
        if database is None:
            yield lambda ends: None
            return

        def is_mine() -> bool:
            return self._slots.is_mine(claimed)

        with Heartbeat(database, claimed.trial_id, grace_s=self._slots.grace_s, is_mine=is_mine) as heartbeat:

            def check(ends: bool) -> None:
                # A process that slept past its grace may wake anywhere, so the end of a trial asks the storage.
                if heartbeat.is_lost or (ends and not self._retry(is_mine)):
                    raise _TakenOver

            yield check

    def _ask_proposer(self, claimed: Claimed, table: SlotTable, results: Sequence[TrialResult]) -> None:
        """Have the trial's values come from the proposer, unless the slot waited with all of them."""
        import optuna

        kept = values_of(self._slots.storage.get_trial(claimed.trial_id))
        if self.space.fills(kept):
            return
        assert self._propose is not None, "asked only where there is one"
        others = [values_of(trial) for slot, trial in table.running.items() if slot != claimed.slot]
        known = [(trial.params, trial.value) for trial in table.known if trial.value is not None]
        values = self._propose(claimed.slot, results, others, known)
        if values is None:
            self._slots.storage.set_trial_user_attr(claimed.trial_id, EXHAUSTED, value=True)
            self._slots.fail_id(claimed.trial_id)
            raise _NothingLeft
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.sampler = optuna.samplers.PartialFixedSampler(values, optuna.samplers.RandomSampler(self._seed))

    def _suggested(self, claimed: Claimed) -> tuple[optuna.Trial, TrialConfig]:
        import optuna

        trial = optuna.trial.Trial(self.study, claimed.trial_id)
        return trial, self.space.suggest(trial)

    def _finish(self, trial: optuna.Trial, result: TrialResult) -> None:
        import optuna

        try:
            if self._max_gap is not None:
                trial.set_constraint("generalisation_gap", excess_gap(result, self._max_gap))
            trial.set_user_attr(RESULT, result.as_dict())
        except optuna.exceptions.UpdateFinishedTrialError:
            raise _TakenOver from None
        if self._slots.database is not None:
            write_curve(self._slots.database, trial._trial_id, result.val_losses)
        self._tell(trial.number, result)

    def _tell(self, number: int, result: TrialResult) -> None:
        import optuna

        state = optuna.trial.TrialState.FAIL if result.state is TrialState.FAILED else None
        score = None if state else told_score(result, self._slots.results(self._slots.table()))
        # Whoever was faster told the same result: it is kept before it is told.
        with quiet_optuna(), contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study.tell(number, score, state=state, skip_if_finished=True)

    def _give_back(self, claimed: Claimed) -> None:
        trial = self._slots.storage.get_trial(claimed.trial_id)
        if RESULT not in trial.user_attrs:
            self._slots.give_back(trial)

    def _claim_name(self, known: Sequence[TrialResult], attributes: Mapping[str, Any]) -> None:
        """Make a new study this space's own, or refuse one of another space."""
        kept = self.study.user_attrs
        self.space.check_kept(kept.get(SPACE, {}), f"The kept study {self.study.study_name!r}")
        if SPACE not in kept:
            for key, value in attributes.items():
                self.study.set_user_attr(key, value)
            self._add_known(known)
            self.study.set_user_attr(SPACE, self.space.as_dict())

    def _add_known(self, known: Sequence[TrialResult]) -> None:
        import optuna

        if self.study.get_trials(deepcopy=False):
            return
        dimensions = {dimension.name: distribution(dimension) for dimension in self.space.dimensions()}
        for values, score in told_of(known, self.space):
            distributions = {name: dimensions[name] for name in values}
            trial = optuna.trial.create_trial(params=dict(values), distributions=distributions, value=score)
            self.study.add_trial(trial)


class _NothingLeft(Exception):
    """The proposer has tried all of the space."""


class _TakenOver(Exception):
    """Another worker has taken the trial for lost, and its slot waits again."""


def kept_attributes(storage: str, name: str = "lrrt") -> dict[str, Any]:
    """Return the attributes that a study was made with.

    Raises:
        NoSuchStudy: where the storage has no such study.
        StorageUnreachable, StorageOfAnotherVersion: as `OptunaStudy` does.
    """
    with quiet_optuna():
        return dict(_open(name, open_storage(storage, creates=False), creates=False)[0].user_attrs)


def _open(
    name: str, database: optuna.storages.RDBStorage | None, *, creates: bool
) -> tuple[optuna.Study, optuna.storages.BaseStorage]:
    import optuna

    storage = optuna.storages.get_storage(database)
    if creates:
        study = optuna.create_study(study_name=name, storage=storage, direction="minimize", load_if_exists=True)
        return study, storage
    try:
        return optuna.load_study(study_name=name, storage=storage), storage
    except KeyError:
        where = address(database.url) if database else "memory"
        raise NoSuchStudy(f"{where} must hold the study {name!r}, but it does not.") from None
