"""Report the progress of a study, and its workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studies.sharing.board import Board, worker_of
from studies.sharing.pieces import KEY, number_of
from studies.sharing.worker import Worker

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """The traces of one worker in a study.

    Attributes:
        worker: the worker.
        key: the number of the trial that it holds; None if it holds none.
        num_ended: pieces of work that it has ended: trials, or parts of trials.
        last_seen_s: seconds since its last sign of life by the clock of the storage; None before the first one.
    """

    worker: Worker
    key: int | None
    num_ended: int
    last_seen_s: float | None


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """The progress of a study.

    Attributes:
        budget: trials in all.
        num_open: trials that have not ended and that no worker holds.
        num_running: trials that a worker holds.
        num_ended: trials that have ended.
        workers: all workers that have taken a trial of the study.
    """

    budget: int
    num_open: int
    num_running: int
    num_ended: int
    workers: tuple[WorkerSeen, ...]


def progress_of(board: Board, budget: int) -> StudyProgress:
    """Read the progress of a study on a board, of `budget` trials."""
    table = board.table()
    trials = [*table.ended.values(), *table.running.values()]
    running = {number_of(key) for key in table.running}
    num_ended, num_running = len({number_of(key) for key in table.ended} - running), len(running)
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
            key=before.key if has_ended else number_of(trial.user_attrs[KEY]),
            num_ended=before.num_ended + has_ended,
            last_seen_s=min(seen, default=None),
        )
    return tuple(by_id[name] for name in sorted(by_id))
