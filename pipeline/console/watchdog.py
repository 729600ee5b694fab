"""End a process that does not answer to signals: a thread reads them, whatever the main thread does."""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipeline.failures import Stopped

ONE_REQUEST_S = 0.3  # signals that follow each other faster are one: a shell and a scheduler may each send theirs
GRACE_S = 5.0  # after the second signal, for what the first one began: to store a checkpoint, to give back a trial
HINT_S = 10.0  # after the first signal, a run that goes on says how it is stopped at once


class Watchdog:
    """Watch the signals and the deadline of a process from a thread.

    Args:
        exit_codes: of the process, by the signal that ends it.
        deadline: of `time.monotonic`; None for none.
        at_deadline: says at the deadline whether the main thread must be interrupted.
    """

    def __init__(
        self, exit_codes: Mapping[signal.Signals, int], deadline: float | None, *, at_deadline: Callable[[], bool]
    ) -> None:
        self._exit_codes, self._deadline, self._at_deadline = exit_codes, deadline, at_deadline
        self._first: float | None = None
        self._last: tuple[float, int] | None = None
        self._hinted = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs; it must run in the main thread."""
        reads, writes = os.pipe()
        os.set_blocking(writes, False)
        before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
        hook = sys.unraisablehook
        sys.unraisablehook = _without_stops(hook)
        thread = threading.Thread(target=self._watch, args=(reads,), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            sys.unraisablehook = hook
            with contextlib.suppress(ValueError):  # what was set before may be closed
                signal.set_wakeup_fd(before)
            os.close(writes)
            thread.join()
            os.close(reads)

    def _watch(self, reads: int) -> None:
        while True:
            ready, _, _ = select.select([reads], [], [], self._seconds_to_wait())
            if ready:
                numbers = os.read(reads, 64)
                if not numbers:
                    return
                for number in numbers:
                    self._take(number)
            self._act()

    def _take(self, number: int) -> None:
        if number not in self._exit_codes:
            return
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif self._last is None and now - self._first > ONE_REQUEST_S:
            self._last = now, number

    def _seconds_to_wait(self) -> float | None:
        ends = [] if self._deadline is None else [self._deadline]
        if self._first is not None and not self._hinted:
            ends.append(self._first + HINT_S)
        if self._last is not None:
            ends.append(self._last[0] + GRACE_S)
        return None if not ends else max(0.0, min(ends) - time.monotonic())

    def _act(self) -> None:
        now = time.monotonic()
        if self._last is not None and now >= self._last[0] + GRACE_S:
            _say("stopped at once by a second signal; run the same command again to go on.")
            os._exit(self._exit_codes[signal.Signals(self._last[1])])
        if self._first is not None and not self._hinted and now >= self._first + HINT_S:
            self._hinted = True
            _say("asked to stop, and stops when its state is stored; a second signal stops it at once.")
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            if self._at_deadline():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"lrrt: {text}\n".encode())


def _without_stops(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a hook that says nothing of a stop that was raised where nothing can be; the run asks for it later."""

    def heard(unraisable: Any) -> Any:
        return None if isinstance(unraisable.exc_value, Stopped) else hook(unraisable)

    return heard
