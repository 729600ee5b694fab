"""Knows the slots of a study: each is one trial of its budget, whichever worker trains it and however often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from studies.dimension import Value
from studies.storage.worker import Worker

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SLOT = "slot"  # the attribute of Optuna's trials that says which slot they are for
WORKER = "worker"  # ... which worker trains them
RESULT = "result"  # ... what they showed
EXHAUSTED = "exhausted"  # ... that there was nothing left to propose for the slot
NUM_SLOTS = "num_slots"  # the attribute of a study that says how many slots it has


@dataclass(frozen=True, slots=True)
class SlotTable:
    """Where each slot stands, as the trials of a study show it.

    Any number of Optuna's trials may be made for a slot: one whose worker was lost, those that two processes made at
    the same time. The first that is not lost is the slot's own, and only that one may be trained. A trial that is lost
    stays so, and trials are numbered in the order in which they appear, so however old a table is, two workers that
    go by it never hold one slot.

    Attributes:
        waiting: the trials that may be claimed, by slot.
        running: the trials that a worker holds, by slot.
        ended: the trials that have ended with a result, or because there was nothing left to propose, by slot.
        lost: the last lost trial of each slot that had one; the next is given its values.
        surplus: trials that wait for a slot which has another.
        known: trials without a slot, which show what another study found.
    """

    waiting: Mapping[int, FrozenTrial]
    running: Mapping[int, FrozenTrial]
    ended: Mapping[int, FrozenTrial]
    lost: Mapping[int, FrozenTrial]
    surplus: tuple[FrozenTrial, ...]
    known: tuple[FrozenTrial, ...]

    @classmethod
    def of(cls, trials: Iterable[FrozenTrial]) -> Self:
        """Sort trials, which come in the order of their numbers, by slot."""
        own: dict[int, FrozenTrial] = {}
        lost: dict[int, FrozenTrial] = {}
        surplus, known = [], []
        for trial in trials:
            slot = trial.user_attrs.get(SLOT)
            if slot is None:
                known.append(trial)
            elif is_lost(trial):
                lost[slot] = trial
            elif slot not in own:
                own[slot] = trial
            elif not trial.state.is_finished():
                surplus.append(trial)
        by_state: dict[str, dict[int, FrozenTrial]] = {"WAITING": {}, "RUNNING": {}, "ended": {}}
        for slot, trial in own.items():
            by_state["ended" if trial.state.is_finished() else trial.state.name][slot] = trial
        return cls(by_state["WAITING"], by_state["RUNNING"], by_state["ended"], lost, tuple(surplus), tuple(known))

    def nowhere(self, num_slots: int) -> list[int]:
        """Return the slots of which no trial waits, runs or has ended: not made yet, or lost with their worker."""
        return [slot for slot in range(num_slots) if self.is_nowhere(slot)]

    def is_nowhere(self, slot: int) -> bool:
        """Say whether no trial of a slot waits, runs or has ended."""
        return not (slot in self.waiting or slot in self.running or slot in self.ended)

    def has_ended(self, num_slots: int) -> bool:
        """Say whether so many slots have ended."""
        return all(slot in self.ended for slot in range(num_slots))


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """What a study shows of one of its workers.

    Attributes:
        worker: who it is.
        slot: what it trains; None where it holds none.
        num_ended: trials of it that have ended.
        last_seen_s: seconds since its last sign of life by the clock of the storage; None where it gave none yet.
    """

    worker: Worker
    slot: int | None
    num_ended: int
    last_seen_s: float | None


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """How far a study has come.

    Attributes:
        num_slots: trials in all.
        num_waiting: slots that no worker holds.
        num_running: slots that a worker holds.
        num_ended: slots that have ended.
        workers: all that the study has seen.
    """

    num_slots: int
    num_waiting: int
    num_running: int
    num_ended: int
    workers: tuple[WorkerSeen, ...]


def is_lost(trial: FrozenTrial) -> bool:
    """Say whether a trial was ended by another than its worker, or given back, so that its slot is open again."""
    return trial.state.is_finished() and RESULT not in trial.user_attrs and EXHAUSTED not in trial.user_attrs


def values_of(trial: FrozenTrial) -> dict[str, Value]:
    """Return the values that a trial was given, those fixed for it and not asked for yet included."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def worker_of(trial: FrozenTrial) -> Worker | None:
    """Return the worker that claimed a trial last."""
    kept = trial.user_attrs.get(WORKER)
    return None if kept is None else Worker.from_dict(kept)
