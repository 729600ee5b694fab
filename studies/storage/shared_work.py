"""Work off a board of pieces of work together with other processes: take what is open, wait for what others hold."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from studies.dimension import Value
from studies.storage.board import RESULT, Board, Claim, Key, Outcome, Table
from studies.storage.heartbeat import Heartbeat
from studies.storage.retrying import Retrying

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

GIVE_BACK_S = 5.0  # a worker that is stopped tries so long to give its piece back; a scheduler waits 30 s
POLL_S = 2.0  # between two looks at the pieces that other workers hold, if nothing else is left

Check = Callable[[bool], None]
"""A piece of work calls it at moments that suit it, with True before its end; it raises if the piece was taken over."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work.

    Attributes:
        key: by which all workers know it.
        do: does it.
        values: which Optuna shows as the parameters of its trial.
        distributions: of these values.
    """

    key: Key
    do: Callable[[Check], Outcome]
    values: Mapping[str, Value] = field(default_factory=dict)
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)


class Job(Protocol):
    """What is to be done on a board."""

    def is_done(self, table: Table) -> bool:
        """Say whether every piece has ended."""

    def next_piece(self, table: Table, spread: int) -> Piece | None:
        """Return a piece that may be taken now, one of the first `spread` that are open; None if there is none."""

    def value_of(self, result: Mapping[str, Any]) -> float | None:
        """Return what a stored result is worth, for a worker that was killed before it said so."""

    def on_look(self, table: Table) -> None:
        """Take note of what other workers did."""

    def on_wait(self) -> None:
        """Be called while other workers are waited for; what it raises ends the waiting."""


def work_off(board: Board, job: Job, retry: Retrying, *, waits: bool = True) -> Table:
    """Do pieces of a job until all have ended.

    Args:
        board: of the pieces.
        job: what is to be done.
        retry: calls the storage.
        waits: whether pieces that other workers hold are waited for; if not, the work ends when nothing is open.

    Returns:
        The table at the end.
    """
    retry(lambda: put_back(board, job))
    num_collisions = 0
    while True:
        table = retry(board.table)
        job.on_look(table)
        if job.is_done(table):
            return table
        # Workers that start together want the same piece; whoever was too slow looks further each time.
        piece = job.next_piece(table, max(1 + len(table.running), 2**num_collisions))
        if piece is not None:
            claim = retry(lambda piece=piece: board.claim(piece.key, piece.values, piece.distributions))  # type: ignore[misc]  # mypy cannot infer the lambda
            num_collisions = num_collisions + 1 if claim is None else 0
            if claim is not None:
                _carry_out(board, claim, piece, retry)
        elif job.is_done(table):  # looking for a piece may show that there is none
            return table
        elif retry(lambda: put_back(board, job)):
            continue
        elif not waits:
            return table
        else:
            job.on_wait()
            time.sleep(random.uniform(POLL_S / 2, POLL_S))


def put_back(board: Board, job: Job) -> int:
    """Open the pieces of lost workers to others; return how many there were."""
    table = board.table()
    num_open = 0
    for trial in board.lost(table):
        result = trial.user_attrs.get(RESULT)  # there is one if the worker was killed between the result and the end
        num_open += board.close(trial, None if result is None else job.value_of(result)) and result is None
    for trial in table.surplus:
        board.close(trial, None)
    return num_open


def _carry_out(board: Board, claim: Claim, piece: Piece, retry: Retrying) -> None:
    try:
        with _beating(board, claim, retry) as check:
            outcome = piece.do(check)
        retry(lambda: board.finish(claim, outcome))
    except _TakenOver:
        return
    except BaseException:
        with contextlib.suppress(Exception):  # whoever starts next sees that this process has ended
            Retrying(retry.url, GIVE_BACK_S)(lambda: board.give_back(claim))
        raise


@contextmanager
def _beating(board: Board, claim: Claim, retry: Retrying) -> Iterator[Check]:
    """Show signs of life while the block runs; yield what raises if the piece was taken over."""
    if board.database is None:
        yield lambda ends: None
        return

    def is_held() -> bool:
        return board.is_held(claim)

    with Heartbeat(board.database, claim.trial_id, grace_s=board.grace_s, is_mine=is_held) as heartbeat:

        def check(ends: bool) -> None:
            # A process that slept past its grace may wake anywhere, so the end of a piece asks the storage, unless the
            # piece took so little time that no other worker can have taken it.
            if heartbeat.is_lost or (ends and heartbeat.may_be_lost and not retry(is_held)):
                raise _TakenOver

        yield check


class _TakenOver(Exception):
    """Another worker has taken this one for lost, and its piece of work is open again."""
