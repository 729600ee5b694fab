"""End a training whose time is used up, also while it hangs in a user's code."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

AGAIN_S = 10.0  # after so long the exception is raised again, if a user's code swallowed it


class TimeUp(BaseException):
    """The time of a training is used up; no `except Exception` of a user's code takes it for an error of its own."""


class TimeLimit:
    """Raise TimeUp in the block once its time is used up.

    In the main thread a timer of the system interrupts Python code and calls that wait, such as a sleep or a lock. One
    long call into TensorFlow, and any code in another thread, is only ended at the next `check`.

    Args:
        seconds: None is no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + max(0.0, seconds)
        self._is_shielded = False
        self._is_over = False
        self._has_raised = False
        self._before: Any = None
        self._has_timer = False

    def __enter__(self) -> TimeLimit:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if self._end is not None and in_main_thread and hasattr(signal, "setitimer"):
            self._before = signal.signal(signal.SIGALRM, self._on_alarm)
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, self._end - time.monotonic()), AGAIN_S)
            self._has_timer = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._is_over = True
        if self._has_timer:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, self._before)
        # TensorFlow's code in C++ makes a RuntimeError of what is raised while it raises something itself.
        if self._has_raised and isinstance(error, Exception) and not self._is_shielded:
            raise TimeUp from error

    def check(self) -> None:
        """Raise TimeUp if the time is used up."""
        if self._end is not None and time.monotonic() >= self._end:
            raise TimeUp

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Let the timer wait while the block runs, which is not a user's code; what it raises ends the training."""
        self._is_shielded = True
        yield
        self._is_shielded = False

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if not self._is_shielded and not self._is_over:
            self._has_raised = True
            raise TimeUp
