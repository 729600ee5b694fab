"""Store with a study what was chosen once for all its workers and all its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.storage.retrying import Retrying

if TYPE_CHECKING:
    import optuna

USES_XLA = "uses XLA: "  # the beginning of the study attributes with these choices, before the kind of trial


class StoredChoices:
    """Choices whether XLA trains a kind of trial, as attributes of a study.

    Args:
        study: Optuna's study.
        retry: calls its storage.
    """

    def __init__(self, study: optuna.Study, retry: Retrying) -> None:
        self._study, self._retry = study, retry

    def get(self, kind: str) -> bool | None:
        """Return a choice; None if no worker has made it."""
        stored: bool | None = self._retry(lambda: self._study.user_attrs).get(USES_XLA + kind)
        return stored

    def setdefault(self, kind: str, uses_xla: bool) -> bool:
        """Store a choice unless another worker was faster; return the one that holds."""
        stored = self.get(kind)
        if stored is None:
            self._retry(lambda: self._study.set_user_attr(USES_XLA + kind, uses_xla))
        return uses_xla if stored is None else stored
