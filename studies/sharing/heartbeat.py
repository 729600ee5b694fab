"""Show other workers that this one is alive, and notice if its work was taken over."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import optuna

FIRST_BEAT_S = 1.0  # shorter trials cost the storage no heartbeat
JOIN_S = 1.0  # so long the end of a trial waits for a heartbeat if the storage does not answer
BEATS_A_GRACE = 6  # so that a few may be lost


class Heartbeat:
    """Send heartbeats from a separate thread while a block runs, even after errors of the storage.

    Optuna's thread ends silently at the first error of the database.

    Args:
        storage: the storage of the trial.
        trial_id: Optuna's id of the trial.
        grace_s: seconds without a heartbeat after which the worker is lost.
        is_mine: reads from the storage whether the trial is still this worker's.
    """

    def __init__(
        self, storage: optuna.storages.RDBStorage, trial_id: int, *, grace_s: float, is_mine: Callable[[], bool]
    ) -> None:
        self._storage, self._trial_id = storage, trial_id
        self._interval_s, self._is_mine = grace_s / BEATS_A_GRACE, is_mine
        self._ended, self._lost = threading.Event(), threading.Event()
        self._grace_s, self._began = grace_s, time.time()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether the storage has shown that the trial is no longer this worker's."""
        return self._lost.is_set()

    @property
    def may_be_lost(self) -> bool:
        """Whether this worker may be lost for the others by now; the clock runs while a process sleeps."""
        return time.time() - self._began > self._grace_s / 2

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(JOIN_S)

    def _beat(self) -> None:
        pause = min(FIRST_BEAT_S, self._interval_s)
        while not self._ended.wait(pause):
            pause = self._interval_s
            # The next beat may reach the storage again; the worker itself meets the fault when it stores its result.
            with contextlib.suppress(Exception):
                if not self._is_mine():
                    self._lost.set()
                    break
                self._storage.record_heartbeat(self._trial_id)
        with contextlib.suppress(Exception):
            self._storage.remove_session()
