"""Tell how far a study has come, and which workers are at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studies.storage.board import KEY, Board, Key, worker_of
from studies.storage.worker import Worker

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """What a study shows of one of its workers.

    Attributes:
        worker: who it is.
        key: of what it is at; None if it is at nothing.
        num_ended: pieces of work that it has ended.
        last_seen_s: seconds since its last sign of life by the clock of the storage; None if it gave none yet.
    """

    worker: Worker
    key: Key | None
    num_ended: int
    last_seen_s: float | None


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """How far a study has come.

    Attributes:
        budget: trials in all.
        num_open: trials that no worker is at and that have not ended.
        num_running: trials that a worker is at.
        num_ended: trials that have ended.
        workers: all that the study has seen.
    """

    budget: int
    num_open: int
    num_running: int
    num_ended: int
    workers: tuple[WorkerSeen, ...]


def progress_of(board: Board, budget: int) -> StudyProgress:
    """Read how far the work on a board has come, of `budget` pieces."""
    table = board.table()
    trials = [*table.ended.values(), *table.running.values()]
    num_ended, num_running = len(table.ended), len(table.running)
    return StudyProgress(
        budget=budget,
        num_open=max(0, budget - num_ended - num_running),
        num_running=num_running,
        num_ended=num_ended,
        workers=_workers(trials, board.seconds_silent(trials)),
    )


def _workers(trials: Sequence[FrozenTrial], ages: Mapping[int, float]) -> tuple[WorkerSeen, ...]:
    by_id: dict[str, WorkerSeen] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        worker = worker_of(trial)
        if worker is None:
            continue
        before = by_id.get(worker.id, WorkerSeen(worker, None, 0, None))
        seen = [age for age in (ages.get(trial.number), before.last_seen_s) if age is not None]
        has_ended = trial.state.is_finished()
        by_id[worker.id] = WorkerSeen(
            worker,
            key=before.key if has_ended else trial.user_attrs[KEY],
            num_ended=before.num_ended + has_ended,
            last_seen_s=min(seen, default=None),
        )
    return tuple(by_id[name] for name in sorted(by_id))
