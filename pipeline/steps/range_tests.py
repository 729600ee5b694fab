"""Run the range tests of a stage, or read those that hold from an earlier run; processes share them by optimizer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrrt import RangeTestResult
from pipeline.config.tables import StageConfig
from pipeline.console.events import RangeTestDone
from pipeline.run import RANGE_TESTS, Run
from pipeline.state.ownership import differences
from pipeline.steps.watching import StageWatcher
from pipeline.task.fingerprints import Fields, TaskPrint, digest_of, range_test_fields
from pipeline.task.guard import guarded
from studies import NoSuchStudy
from studies.sharing.board import Board, worker_of
from studies.sharing.pieces import RESULT, Outcome, Table
from studies.sharing.shared_work import Check, Piece, work_off

if TYPE_CHECKING:
    from pipeline.task.preparation import Prepared


@dataclass(frozen=True, slots=True)
class RangeTests:
    """Range tests that hold for a run, and the seconds that they took, on whatever machines."""

    result: RangeTestResult
    seconds: float


def range_tests(run: Run, prepared: Prepared) -> RangeTests:
    """Return the range tests of each optimizer: those that hold are read, the others are run.

    Curves depend on the task, their own keys, the seed and the batch size, and on nothing else of the study. Bounds
    are for a training of all the study's epochs: at each batch size that is tested, of as many updates as such a trial
    has there. Where one batch size stands for several, its bounds are for its own trials; those of a larger one have
    fewer updates. A trial that is pruned or stops early counts as one that was planned in full. If only the epochs have
    changed, stored curves are judged again.
    """
    job = _Job(run, prepared.known_by, prepared)
    board = run.board(RANGE_TESTS)
    _note_others(run, job, run.retry(board.table))
    return _joined(job, work_off(board, job, run.retry))


def stored_range_tests(run: Run, task: TaskPrint) -> RangeTests | None:
    """Return the range tests of earlier runs if they hold for this one; None if some are missing."""
    board = _stored_board(run)
    if board is None:
        return None
    job, table = _Job(run, task, None), run.retry(board.table)
    return _joined(job, table) if job.is_done(table) else None


def range_tests_so_far(run: Run, task: TaskPrint) -> RangeTests | None:
    """Return those range tests of earlier runs that hold for this one; None if none does."""
    board = _stored_board(run)
    if board is None:
        return None
    job, table = _Job(run, task, None), run.retry(board.table)
    job.keys = {name: key for name, key in job.keys.items() if key in table.ended}
    return _joined(job, table) if job.keys else None


def know_ended(run: Run) -> None:
    """Take the range tests that have ended for known, so that the run tells of none of them as news."""
    board = _stored_board(run)
    if board is not None:
        run.heard.update(run.retry(board.table).ended)


def hear_of_range_tests(run: Run, task: TaskPrint) -> None:
    """Say what range tests of other processes found since the last time."""
    board = _stored_board(run)
    if board is not None:
        _Job(run, task, None).on_look(run.retry(board.table))


def some_are_stored(run: Run) -> bool:
    """Say whether there are range tests of any earlier run."""
    run.check_storage()
    board = _stored_board(run)
    return board is not None and bool(run.retry(board.table).ended)


def why_not_stored(run: Run, task: TaskPrint) -> str:
    """Return how the range tests of earlier runs differ from what is needed, as lines; empty if there are none."""
    board = _stored_board(run)
    return "" if board is None else _differences(_Job(run, task, None), run.retry(board.table))


def with_optimizers(config: StageConfig, optimizers: tuple[str, ...]) -> StageConfig:
    """Return a config with other optimizers."""
    return config.model_copy(update={"range_test": config.range_test.model_copy(update={"optimizers": optimizers})})


class _Job:
    """The range tests of all optimizers, for one process; see `studies.sharing.shared_work.Job` for its methods."""

    def __init__(self, run: Run, task: TaskPrint, prepared: Prepared | None) -> None:
        self.run, self.prepared = run, prepared
        self.watcher = StageWatcher(run)
        alone = {name: with_optimizers(run.config, (name,)) for name in run.config.range_test.optimizers}
        self.fields = {name: range_test_fields(config, task) for name, config in alone.items()}
        self.keys = {name: f"{name} {digest_of(fields)}" for name, fields in self.fields.items()}

    def is_done(self, table: Table) -> bool:
        return all(key in table.ended for key in self.keys.values())

    def next_piece(self, table: Table, spread: int) -> Piece | None:
        names = [name for name, key in self.keys.items() if table.is_open(key)]
        if not names or not self.watcher.may_train():
            return None
        name = names[min(spread, len(names)) - 1]
        return Piece(self.keys[name], lambda check: self._outcome(name, check))

    def values_of(self, result: Mapping[str, Any]) -> tuple[float, ...]:
        return (float(result["seconds"]),)

    def on_look(self, table: Table) -> None:
        """Say what others found since the last look."""
        for key in self.keys.values():
            ended = table.ended.get(key)
            if ended is None or key in self.run.heard:
                continue
            self.run.heard.add(key)
            if worker_of(ended) != self.run.worker:
                part = ended.user_attrs[RESULT]
                for label, bounds in _for_epochs(part, self.run.config.study.epochs).bounds.items():
                    self.run.tell(RangeTestDone(label, bounds, part["seconds"]))

    def on_wait(self) -> None:
        self.watcher.on_wait()

    def _outcome(self, optimizer: str, check: Check) -> Outcome:
        assert self.prepared is not None, "a job without a task is asked for no piece"
        began = time.monotonic()
        with guarded(f"The range test of {optimizer} must run on the task, but that", stopper=self.run.stopper):
            result = self.prepared.range_test(self.run.config, optimizer, self.watcher)
        check(True)
        seconds = round(time.monotonic() - began, 3)
        plain = {
            "fields": self.fields[optimizer],
            "epochs": self.run.config.study.epochs,
            "seconds": seconds,
            "range_test": result.to_dict(),
        }
        return Outcome(plain, (seconds,))


def _stored_board(run: Run) -> Board | None:
    try:
        return run.board(RANGE_TESTS, creates=False)
    except NoSuchStudy:
        return None


def _joined(job: _Job, table: Table) -> RangeTests:
    parts: list[Mapping[str, Any]] = [table.ended[key].user_attrs[RESULT] for key in job.keys.values()]
    results = [_for_epochs(part, job.run.config.study.epochs) for part in parts]
    return RangeTests(RangeTestResult.joined(results), sum(part["seconds"] for part in parts))


def _for_epochs(part: Mapping[str, Any], epochs: int) -> RangeTestResult:
    """Return a stored range test with bounds for so many epochs; one of an earlier version does not say for which."""
    result, tested_for = RangeTestResult.from_dict(part["range_test"]), part.get("epochs", epochs)
    if tested_for == epochs:
        return result
    steps = {label: bounds.training_steps for label, bounds in result.bounds.items()}
    return result.for_training({label: max(epochs * num // tested_for, 1) for label, num in steps.items() if num})


def _note_others(run: Run, job: _Job, table: Table) -> None:
    changed = "" if job.is_done(table) else _differences(job, table)
    if changed:
        run.note(f"the stored range tests do not hold, so they are run again: {changed.strip()}")


def _differences(job: _Job, table: Table) -> str:
    for name, key in job.keys.items():
        others: list[Fields] = [
            trial.user_attrs[RESULT]["fields"]
            for other, trial in table.ended.items()
            if str(other).startswith(f"{name} ") and other != key
        ]
        if key not in table.ended and others:
            return "\n".join(differences(others[-1], job.fields[name]))
    return ""
