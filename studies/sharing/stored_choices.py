"""Store with a study what was chosen once for all its workers and all its runs."""

from __future__ import annotations

from functools import partial

from studies.sharing.board import Board
from studies.storage.retrying import Retrying

USES_XLA = "uses XLA: "  # the beginning of the study attributes with these choices, before the kind of trial


class StoredChoices:
    """Choices whether XLA trains a kind of trial, as attributes of a study.

    Args:
        board: of the study.
        retry: calls its storage.
    """

    def __init__(self, board: Board, retry: Retrying) -> None:
        self._board, self._retry = board, retry

    def get(self, kind: str) -> bool | None:
        """Return a choice; None if no worker has made it."""
        stored: bool | None = self._retry(lambda: self._board.study.user_attrs).get(USES_XLA + kind)
        return stored

    def setdefault(self, kind: str, uses_xla: bool) -> bool:
        """Store a choice unless another worker was faster; return the one that holds, which is the first one stored."""
        self._retry(partial(self._board.set_first, USES_XLA + kind, uses_xla))
        return bool(self.get(kind))

    def all(self) -> dict[str, bool]:
        """Return the choices that were made, by kind of trial."""
        stored = self._retry(lambda: self._board.study.user_attrs)
        return {name.removeprefix(USES_XLA): value for name, value in stored.items() if name.startswith(USES_XLA)}
