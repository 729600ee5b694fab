"""Stop a run before its end: by a signal, or because its time is used up."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from pipeline.console.watchdog import Watchdog
from pipeline.failures import Interrupted, Terminated, TimeUsedUp

BEFORE_LIMIT_S = 60.0  # of a job's time: an epoch ends, and its trial is stored


_BY_SIGNAL = {signal.SIGINT: Interrupted, signal.SIGTERM: Terminated}


class Stopper:
    """Ask a run to stop; a run that must save its state first reads the reason at suitable times.

    Args:
        max_time_s: seconds from now on; None is no limit.
        ends_with_parent: whether the run stops if the parent of this process has ended.
    """

    def __init__(self, max_time_s: float | None = None, *, ends_with_parent: bool = False) -> None:
        self._parent = os.getppid() if ends_with_parent else None
        self._deadline = None if max_time_s is None else time.monotonic() + max_time_s
        self._asked: KeyboardInterrupt | None = None
        self._is_deferred = False
        self._has_raised = False
        self._raises_at_limit = False

    def reason(self) -> KeyboardInterrupt | None:
        """Return the exception that the run must raise in order to stop; None if it may go on."""
        if self._asked is None and self._deadline is not None and time.monotonic() >= self._deadline:
            return TimeUsedUp()
        if self._asked is None and self._parent not in (None, os.getppid()):
            return Terminated()
        return self._asked

    def check(self) -> None:
        """Raise the reason if there is one."""
        reason = self.reason()
        if reason is not None:
            raise reason

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let signals wait for `reason` or `check` while the block runs; elsewhere they raise at once."""
        before, self._is_deferred = self._is_deferred, True
        try:
            yield
        finally:
            self._is_deferred = before

    @contextmanager
    def raising_at_limit(self) -> Iterator[None]:
        """Raise TimeUsedUp amid the block when the time is used up; elsewhere the run asks for it.

        It reaches Python code alone, and only while signals are heeded.
        """
        self.check()
        self._raises_at_limit = True
        try:
            yield
        finally:
            self._raises_at_limit = False

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Treat SIGINT and SIGTERM as a request to stop while the block runs.

        After a second one the process ends within seconds, whatever it is doing: in native code or in the user's, no
        Python handler of a signal may ever run. All that was stored stays, and the same command goes on from there.
        """
        before = {number: signal.signal(number, self._on_signal) for number in _BY_SIGNAL}
        exit_codes = {number: kind.exit_code for number, kind in _BY_SIGNAL.items()}
        try:
            with Watchdog(exit_codes, self._deadline, at_deadline=self._at_limit).watching():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _at_limit(self) -> bool:
        """Say whether the main thread must be interrupted now, because the time is used up."""
        return self._raises_at_limit and not self._is_deferred and self._asked is None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked is None:
            is_at_limit = self._deadline is not None and time.monotonic() >= self._deadline and self._raises_at_limit
            self._asked = TimeUsedUp() if is_at_limit else _BY_SIGNAL[signal.Signals(number)]()
        if not self._is_deferred and not self._has_raised:  # a second one must not break off what the first began
            self._has_raised = True
            raise self._asked


def seconds_left(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how long a batch job may still work before its time limit; None if its scheduler sets none."""
    try:
        end = float(environ["SLURM_JOB_END_TIME"])
    except (KeyError, ValueError):
        return None
    return max(0.0, end - time.time() - BEFORE_LIMIT_S)
