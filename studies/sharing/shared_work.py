"""Do the pieces of work on a board together with other processes: take open pieces, wait for those that others hold."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from studies.dimension import Value
from studies.sharing.board import Board
from studies.sharing.heartbeat import Heartbeat
from studies.sharing.pieces import RESULT, Claim, Key, Outcome, Table
from studies.storage.retrying import Retrying

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

GIVE_BACK_S = 5.0  # so long a stopped worker tries to give its piece back; a scheduler waits 30 s
HUNG_S = 30.0  # after its limit, a piece of work that has not ended hangs
HUNG = 75  # the exit code of a process that leaves such a piece: EX_TEMPFAIL, the same command goes on
# Between two reads of the table, while other workers hold all pieces that are left: most often one ends soon.
FIRST_POLL_S, LONGEST_POLL_S = 0.1, 2.0

Check = Callable[[bool], None]
"""A piece of work calls it now and then, and with True before its end; it raises if the piece was taken over."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work.

    Attributes:
        key: the same in all workers.
        do: does the work.
        values: the parameters of its trial in Optuna.
        distributions: the distributions of these values.
        limit_s: seconds after which the work ends by itself; None is no limit.
        overdue: returns the outcome of work that hangs beyond its limit, from another thread.
    """

    key: Key
    do: Callable[[Check], Outcome]
    values: Mapping[str, Value] = field(default_factory=dict)
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    limit_s: float | None = None
    overdue: Callable[[], Outcome] | None = None


class Job(Protocol):
    """The work to do on a board."""

    def is_done(self, table: Table) -> bool:
        """Say whether every piece has ended."""

    def next_piece(self, table: Table, spread: int) -> Piece | None:
        """Return a piece that may be taken now, one of the first `spread` that are open; None if there is none."""

    def values_of(self, result: Mapping[str, Any]) -> tuple[float, ...]:
        """Return the values of a stored result, for a worker that was killed before it said so."""

    def on_look(self, table: Table) -> None:
        """Be called with each table, which shows the work of other workers."""

    def on_wait(self) -> None:
        """Be called during a wait for other workers; an exception from it ends the wait."""


def work_off(board: Board, job: Job, retry: Retrying, *, waits: bool = True) -> Table:
    """Do pieces of a job until all have ended.

    Args:
        board: the board of the pieces.
        job: the work to do.
        retry: calls the storage.
        waits: whether to wait for pieces that other workers hold; if not, the work ends when no piece is open.

    Returns:
        The table at the end.
    """
    retry(lambda: put_back(board, job))
    num_collisions, pause = 0, FIRST_POLL_S
    while True:
        table = retry(board.table)
        job.on_look(table)
        if job.is_done(table):
            return table
        # Workers that start together choose the same piece; a worker that was too slow chooses among more each time.
        piece = job.next_piece(table, max(1 + len(table.running), 2**num_collisions))
        if piece is not None:
            claim = retry(partial(board.claim, piece.key, piece.values, piece.distributions, seen=table))
            num_collisions = num_collisions + 1 if claim is None else 0
            if claim is not None:
                _carry_out(board, claim, piece, retry)
                pause = FIRST_POLL_S
        elif job.is_done(table):  # the search for a piece may show that there is none
            return table
        elif retry(lambda: put_back(board, job)):
            continue
        elif not waits:
            return table
        else:
            job.on_wait()
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_POLL_S)


def put_back(board: Board, job: Job) -> int:
    """Open the pieces of lost workers to others; return their number."""
    table = board.table()
    num_open = 0
    for trial in board.lost(table):
        result = trial.user_attrs.get(RESULT)  # there is one if the worker was killed between the result and the end
        num_open += board.close(trial, () if result is None else job.values_of(result)) and result is None
    for trial in table.surplus:
        board.close(trial, ())
    return num_open


def _carry_out(board: Board, claim: Claim, piece: Piece, retry: Retrying) -> None:
    try:
        with _beating(board, claim, retry) as check, _watched(board, claim, piece):
            outcome = piece.do(check)
        retry(lambda: board.finish(claim, outcome))
    except _TakenOver:
        return
    except BaseException:
        with contextlib.suppress(Exception):  # the next worker sees that this process has ended
            Retrying(retry.url, GIVE_BACK_S)(lambda: board.give_back(claim))
        raise


@contextmanager
def _beating(board: Board, claim: Claim, retry: Retrying) -> Iterator[Check]:
    """Show signs of life while the block runs; yield a check that raises if the piece was taken over."""
    if board.database is None:
        yield lambda ends: None
        return

    def is_held() -> bool:
        return board.is_held(claim)

    with Heartbeat(board.database, claim.trial_id, grace_s=board.grace_s, is_mine=is_held) as heartbeat:

        def check(ends: bool) -> None:
            # A process that slept past its grace may wake at any line, so the end of a piece asks the storage. A piece
            # may have taken so little time that no other worker can have taken it over; it needs no such call.
            if heartbeat.is_lost or (ends and heartbeat.may_be_lost and not retry(is_held)):
                raise _TakenOver

        yield check


@contextmanager
def _watched(board: Board, claim: Claim, piece: Piece) -> Iterator[None]:
    """End this process if the block hangs where Python cannot interrupt it, long after its limit; store its outcome."""
    if piece.limit_s is None or piece.overdue is None or board.database is None:
        yield
        return
    overdue = piece.overdue

    def leave() -> None:
        message = f"{claim.key} hangs where it cannot be interrupted, long after its time was used up"
        try:
            board.finish(claim, overdue())
        finally:
            os.write(2, f"\nThe work on {message}. This process ends; the same command goes on.\n".encode())
            os._exit(HUNG)

    timer = threading.Timer(piece.limit_s + HUNG_S, leave)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _TakenOver(Exception):
    """Another worker decided that this one is lost, and opened its piece of work again."""
