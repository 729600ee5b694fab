"""Stop a run before its end: by a signal, or because its time is used up."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pipeline.console.hanging import Watchdog
from pipeline.failures import INTERRUPTED, Interrupted, Stopped, Terminated, TimeUsedUp, behind

HANGS_AFTER_S = 30.0  # without a sign of life from a training that must stop
EPOCHS_ALLOWED = 2  # ... and as many times the longest time between two before
DROPPED_S = 5.0  # so long nobody handles a reason that was raised: what it passed through has dropped it
BEFORE_LIMIT_S = 60.0  # of a job's time: an epoch ends, and its trial is stored


_BY_SIGNAL = {signal.SIGINT: Interrupted, signal.SIGTERM: Terminated}


class Stopper:
    """Ask a run to stop; a run that must save its state first reads the reason at suitable times.

    A training that does not read it long after it must stop hangs: then the process ends as if it had been killed, and
    loses that training's work since its last checkpoint. The second signal ends it at once.

    Args:
        max_time_s: seconds from now on; None is no limit.
        ends_with_parent: whether the run stops if the parent of this process has ended.
    """

    def __init__(self, max_time_s: float | None = None, *, ends_with_parent: bool = False) -> None:
        self._parent = os.getppid() if ends_with_parent else None
        self._deadline = None if max_time_s is None else time.monotonic() + max_time_s
        self._asked: KeyboardInterrupt | None = None
        self._is_deferred = False
        self._has_raised = self._is_lost = False
        self._raises_at_limit = False
        self._unhandled_since: float | None = None
        self._read_at, self._longest_s = time.monotonic(), 0.0
        self._must_stop_since: float | None = None

    def reason(self) -> KeyboardInterrupt | None:
        """Return the exception that the run must raise in order to stop; None if it may go on."""
        now = time.monotonic()
        self._read_at, self._longest_s = now, max(self._longest_s, now - self._read_at)
        return self._reason()

    def _reason(self) -> KeyboardInterrupt | None:
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
        self._read_at = time.monotonic()
        try:
            yield
        finally:
            self._is_deferred = before
            self._must_stop_since = None

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
        """Treat SIGINT and SIGTERM as a request to stop while the block runs; a second one ends the process."""
        before = {number: signal.signal(number, self._on_signal) for number in _BY_SIGNAL}
        codes = {int(number): failure.exit_code for number, failure in _BY_SIGNAL.items()}
        try:
            with self._losing_none(), Watchdog(self._overdue, self._must_remind, codes).watching():
                yield
        except Exception as error:
            if self._has_raised and self._asked is not None:  # code in C may have made an error of its own of it
                raise self._asked from error
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _losing_none(self) -> Iterator[None]:
        """Notice if the reason was raised where Python ignores exceptions, as in a destructor: it must come again."""
        before, last = sys.unraisablehook, logging.lastResort

        def hook(ignored: sys.UnraisableHookArgs) -> None:
            if self._asked is not None and self._asked in behind(ignored.exc_value):
                self._is_lost = True
            else:
                before(ignored)

        def is_shown(record: logging.LogRecord) -> bool:
            """Leave out what SQLAlchemy logs of a stop, with a traceback, before it passes it on."""
            return not (record.exc_info and isinstance(record.exc_info[1], Stopped))

        sys.unraisablehook = hook
        if last is not None:
            last.addFilter(is_shown)
        try:
            yield
        finally:
            sys.unraisablehook = before
            if last is not None:
                last.removeFilter(is_shown)

    def _must_remind(self) -> bool:
        """Say whether `_on_signal` must raise, for the time limit or once more; asked from another thread."""
        if self._is_lost or self._is_dropped():
            self._is_lost = self._has_raised = False
            return True
        return self._is_at_limit() and not self._is_deferred and self._asked is None

    def _is_dropped(self) -> bool:
        """Say whether the reason was raised, but long nobody handles it, as after a bare `except` or in code in C."""
        if not self._has_raised or self._is_deferred or _is_handled(self._asked):
            self._unhandled_since = None
            return False
        now = time.monotonic()
        self._unhandled_since = self._unhandled_since or now
        return now - self._unhandled_since > DROPPED_S

    def _is_at_limit(self) -> bool:
        is_used_up = self._deadline is not None and time.monotonic() >= self._deadline
        return is_used_up and self._raises_at_limit

    def _overdue(self) -> int | None:
        """Return the exit code if a training hangs although it must stop; asked from another thread."""
        reason = self._reason() if self._is_deferred else None
        if reason is None:
            self._must_stop_since = None
            return None
        now = time.monotonic()
        self._must_stop_since = self._must_stop_since or now
        # An epoch as long as the longest may be running.
        allowed = HANGS_AFTER_S + EPOCHS_ALLOWED * self._longest_s
        is_late = now - max(self._must_stop_since, self._read_at) > allowed
        return getattr(reason, "exit_code", INTERRUPTED) if is_late else None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked is None:
            self._asked = TimeUsedUp() if self._is_at_limit() else _BY_SIGNAL[signal.Signals(number)]()
        if not self._is_deferred and not self._has_raised:  # a second one must not break off what the first began
            self._has_raised = True
            raise self._asked


def _is_handled(error: BaseException | None) -> bool:
    """Say whether the main thread is in a block that handles an exception, or another one that was raised there."""
    current: Any = sys._current_exceptions().get(threading.main_thread().ident or 0)
    handled = current[1] if isinstance(current, tuple) else current  # until Python 3.11 the type and traceback too
    return any(one is error for one in behind(handled))


def seconds_left(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how long a batch job may still work before its time limit; None if its scheduler sets none."""
    try:
        end = float(environ["SLURM_JOB_END_TIME"])
    except (KeyError, ValueError):
        return None
    return max(0.0, end - time.time() - BEFORE_LIMIT_S)
