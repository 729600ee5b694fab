"""Knows how workers share the slots of a study: made, claimed by one, given back, taken from one that was lost."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studies.dimension import Value
from studies.storage.database import Retrying, seconds_since_heartbeats
from studies.storage.slots import (
    NUM_SLOTS,
    RESULT,
    SLOT,
    WORKER,
    SlotTable,
    StudyProgress,
    WorkerSeen,
    values_of,
    worker_of,
)
from studies.storage.worker import Worker
from studies.trial import TrialResult

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

AHEAD = 32  # slots that wait at a time: Optuna reads all that wait with each trial, so thousands would cost seconds
LOOK_AGAIN_S = 0.5  # until a worker that finds no slot makes one, while others may be about to


@dataclass(frozen=True, slots=True)
class Claimed:
    """A slot that this worker holds, and Optuna's id of the trial that is trained for it."""

    slot: int
    trial_id: int
    number: int


class SlotQueue:
    """The slots of one study, for one worker.

    What a process does here it may do at the same time as others, and be killed anywhere: a slot is neither lost nor
    given to two.

    Args:
        study: Optuna's.
        storage: where it is kept, as Optuna wraps it.
        database: the same, where it is a database, which alone other processes can share.
        worker: who claims.
        grace_s: after how long without a sign of life a worker is taken for lost.
        suggestions: the values of the first slots.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: optuna.storages.BaseStorage,
        database: optuna.storages.RDBStorage | None,
        *,
        worker: Worker,
        grace_s: float,
        suggestions: Sequence[dict[str, Value]],
    ) -> None:
        self.study, self.storage, self.database = study, storage, database
        self.worker, self.grace_s = worker, grace_s
        self._suggestions = suggestions
        self._results: dict[int, TrialResult] = {}

    def table(self) -> SlotTable:
        """Read where each slot stands."""
        return SlotTable.of(self.study.get_trials(deepcopy=False))

    def results(self, table: SlotTable) -> list[TrialResult]:
        """Return what the ended slots showed, in their order; each is read once."""
        for trial in table.ended.values():
            if trial.number not in self._results and RESULT in trial.user_attrs:
                self._results[trial.number] = TrialResult.from_dict(trial.user_attrs[RESULT])
        found = (self._results.get(table.ended[slot].number) for slot in sorted(table.ended))
        return [result for result in found if result is not None]

    @property
    def num_slots(self) -> int:
        """The slots that the study has."""
        return int(self.study.user_attrs.get(NUM_SLOTS, 0))

    def add(self, num_slots: int) -> None:
        """Give the study so many slots; those that it has stay. The next few are made, the rest as these are claimed.

        Args:
            num_slots: in all.
        """
        if self.num_slots != num_slots:
            self.study.set_user_attr(NUM_SLOTS, num_slots)
        table = self.table()
        num_waiting = sum(slot < num_slots for slot in table.waiting)
        for slot in table.nowhere(num_slots)[: max(0, AHEAD - num_waiting)]:
            self._make(slot, table)

    def claim(self, retry: Retrying, num_slots: int) -> Claimed | None:
        """Claim the first slot that waits, for this worker alone; None where none does and none can be put back."""
        while True:
            table = retry(self.table)
            for slot in sorted(slot for slot in table.waiting if slot < num_slots):
                trial = table.waiting[slot]
                if retry(lambda trial=trial: self._take(trial)):  # type: ignore[misc]  # mypy cannot infer the lambda
                    retry(lambda trial=trial: self._sign(trial))  # type: ignore[misc]
                    self._make_ahead(slot + AHEAD, table, retry, num_slots)
                    return Claimed(slot, trial._trial_id, trial.number)
            if not table.nowhere(num_slots):
                return None
            if table.running:
                time.sleep(random.uniform(LOOK_AGAIN_S / 2, LOOK_AGAIN_S))
                table = retry(self.table)
            self._make_missing(table, retry, num_slots)

    def is_mine(self, claimed: Claimed) -> bool:
        """Read whether a slot that was claimed is still this worker's."""
        trial = self.storage.get_trial(claimed.trial_id)
        return not trial.state.is_finished() and worker_of(trial) == self.worker

    def lost_running(self, table: SlotTable) -> list[FrozenTrial]:
        """Return the trials whose worker is lost: another life of this one, ended on this machine, or silent for long.

        A trial that never had a heartbeat is given one, so that its time runs from now.
        """
        if self.database is None:
            return list(table.running.values())  # in memory there is no other worker
        running = table.running.values()
        lost = [trial for trial in running if (owner := worker_of(trial)) and self.worker.knows_ended(owner)]
        silent = [trial for trial in running if trial not in lost]
        ages = seconds_since_heartbeats(self.database, (trial._trial_id for trial in silent))
        for trial in silent:
            age = ages.get(trial._trial_id)
            if age is None:
                self.database.record_heartbeat(trial._trial_id)
            elif age > self.grace_s:
                lost.append(trial)
        return lost

    def give_back(self, trial: FrozenTrial) -> bool:
        """Fail a running trial and have its slot wait again with the same values; say whether it was still running."""
        if not self.fail(trial):
            return False
        table = self.table()
        slot = trial.user_attrs[SLOT]
        if table.is_nowhere(slot):  # else another process saw that it was lost, and was faster
            self._make(slot, table)
        return True

    def fail(self, trial: FrozenTrial) -> bool:
        """Mark a trial as lost; say whether it had not ended before."""
        return self.fail_id(trial._trial_id)

    def fail_id(self, trial_id: int) -> bool:
        """Do the same with Optuna's id of the trial."""
        import optuna

        try:
            return self.storage.set_trial_state_values(trial_id, state=optuna.trial.TrialState.FAIL)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def progress(self) -> StudyProgress:
        """Read how far the study has come, and when its workers were last seen."""
        table = self.table()
        trials = [*table.ended.values(), *table.running.values()]
        ages = (
            {}
            if self.database is None
            else seconds_since_heartbeats(self.database, (trial._trial_id for trial in trials))
        )
        num_slots = self.num_slots
        num_ended, num_running = len(table.ended), len(table.running)
        return StudyProgress(
            num_slots=num_slots,
            num_waiting=max(0, num_slots - num_ended - num_running),
            num_running=num_running,
            num_ended=num_ended,
            workers=_seen(trials, ages),
        )

    def _take(self, trial: FrozenTrial) -> bool:
        import optuna

        try:
            return self.storage.set_trial_state_values(trial._trial_id, state=optuna.trial.TrialState.RUNNING)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _sign(self, trial: FrozenTrial) -> None:
        self.storage.set_trial_user_attr(trial._trial_id, WORKER, self.worker.as_dict())

    def _make_ahead(self, slot: int, table: SlotTable, retry: Retrying, num_slots: int) -> None:
        """Make the slot that is due when this worker claims one; nobody else has cause to."""
        if slot < num_slots and table.is_nowhere(slot):
            retry(lambda: self._make(slot, table))

    def _make_missing(self, table: SlotTable, retry: Retrying, num_slots: int) -> None:
        """Make slots that a killed process did not; one at random where others may be at the same."""
        missing = table.nowhere(num_slots)
        if table.running and missing:
            missing = [random.choice(missing[:AHEAD])]
        for slot in missing[:AHEAD]:
            retry(lambda slot=slot: self._make(slot, table))  # type: ignore[misc]

    def _make(self, slot: int, table: SlotTable) -> None:
        lost = table.lost.get(slot)
        first = self._suggestions[slot] if slot < len(self._suggestions) else {}
        self.study.enqueue_trial(first if lost is None else values_of(lost), user_attrs={SLOT: slot})


def _seen(trials: Sequence[FrozenTrial], ages: dict[int, float]) -> tuple[WorkerSeen, ...]:
    found: dict[str, WorkerSeen] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        worker = worker_of(trial)
        if worker is None:
            continue
        before = found.get(worker.id)
        seen = [age for age in (ages.get(trial._trial_id), before.last_seen_s if before else None) if age is not None]
        has_ended = trial.state.is_finished()
        found[worker.id] = WorkerSeen(
            worker,
            slot=(before.slot if before else None) if has_ended else trial.user_attrs[SLOT],
            num_ended=(before.num_ended if before else 0) + has_ended,
            last_seen_s=min(seen, default=None),
        )
    return tuple(found[name] for name in sorted(found))
