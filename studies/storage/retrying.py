"""Call a storage again while it is at fault, and distinguish its faults from those of the caller."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from studies.storage.urls import address, parsed

WORKING_S = 120.0  # a study waits so long for its storage, for example while a database server restarts
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0

T = TypeVar("T")
OnWait = Callable[[], None]


class StorageUnreachable(Exception):
    """A study's storage did not answer for some time."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Call a function again while the storage is at fault, with longer and longer pauses.

    Attributes:
        url: the URL of the storage.
        give_up_after_s: seconds from the first fault until StorageUnreachable is raised.
        on_wait: called before each pause; an exception from it ends the wait.
    """

    url: str
    give_up_after_s: float = WORKING_S
    on_wait: OnWait = lambda: None

    def __call__(self, action: Callable[[], T]) -> T:
        """Return what the function returns.

        Raises:
            StorageUnreachable: if the storage was still at fault at the end.
        """
        began, pause = None, FIRST_PAUSE_S
        while True:
            try:
                return action()
            except Exception as error:
                fault = storage_fault(error)
                if fault is None:
                    raise
                began = time.monotonic() if began is None else began
                if time.monotonic() - began >= self.give_up_after_s:
                    raise StorageUnreachable(_unreachable(self.url, fault, self.give_up_after_s)) from error
            self.on_wait()
            time.sleep(pause * random.uniform(0.5, 1.0))  # many workers must not come back at one moment
            pause = min(2 * pause, LONGEST_PAUSE_S)


def storage_fault(error: BaseException | None) -> BaseException | None:
    """Return the error by which the storage, not the caller, is at fault and may recover; None if there is none.

    Optuna wraps the errors of its database, and again while it cleans up, so all causes are checked.
    """
    from sqlalchemy import exc

    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError) and _may_recover(error):
            return error
        error = error.__cause__ or error.__context__
    return None


def _may_recover(error: BaseException) -> bool:
    """Say whether waiting may help; for SQLite it helps only if another process is writing."""
    original = getattr(error, "orig", None)
    if type(original).__module__ != "sqlite3":
        return True
    return "locked" in str(original) or "busy" in str(original)


def _unreachable(url: str, fault: BaseException, seconds: float) -> str:
    text = (str(getattr(fault, "orig", None) or fault).strip().splitlines() or [type(fault).__name__])[0]
    password = parsed(url).password
    text = text.replace(str(password), "***") if password else text
    return f"The storage at {address(url)} did not answer for {seconds:g} s: {text}"
