"""End this process when it must stop but hangs where Python cannot interrupt it, as if it had been killed."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

AGAIN_S = 1.0  # two signals within it are one request: a scheduler sends them to a process and to its group
LOOK_S = 0.25
REMINDER = signal.SIGTERM
THREADS_S = 10.0  # so long threads of a task's code may go on after the command has done its work
HANDLERS_S = 60.0  # and so long exit handlers, such as one that sends what a run has logged to a server


class Watchdog:
    """Looks, from a thread of its own, whether a run that must stop does so.

    Signals reach it even while the main thread is in a call that no Python handler can leave.

    Args:
        overdue: returns the exit code of a run that must have stopped by now; None if it need not.
        must_remind: says whether the run must be told once more to stop.
        codes: the exit code by the number of each signal that asks a run to stop.
    """

    def __init__(
        self, overdue: Callable[[], int | None], must_remind: Callable[[], bool], codes: dict[int, int]
    ) -> None:
        self._overdue, self._must_remind, self._codes = overdue, must_remind, codes
        self._ended = threading.Event()
        self._first: float | None = None
        self._num_reminders = 0  # that have not arrived yet

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs; it must be entered in the main thread."""
        ours, signals = socket.socketpair()
        for end in (ours, signals):
            end.setblocking(False)
        before = signal.set_wakeup_fd(signals.fileno(), warn_on_full_buffer=False)
        thread = threading.Thread(target=self._watch, args=(ours,), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            signal.set_wakeup_fd(before)
            ours.close()
            signals.close()

    def _watch(self, ours: socket.socket) -> None:
        while not self._ended.wait(LOOK_S):
            with suppress(BlockingIOError):
                for number in ours.recv(64):
                    self._take(number)
            code = self._overdue()
            if code is not None:
                _leave(code, "hangs, although it was to stop")
            if self._must_remind():
                self._num_reminders += 1
                signal.pthread_kill(threading.main_thread().ident or 0, REMINDER)

    def _take(self, number: int) -> None:
        if number not in self._codes:
            return
        if number == REMINDER and self._num_reminders:
            self._num_reminders -= 1
            return
        now = time.monotonic()
        if self._first is not None and now - self._first >= AGAIN_S:
            _leave(self._codes[number], "was asked to stop twice")
        self._first = now if self._first is None else self._first


def _leave(code: int, why: str) -> None:
    os.write(2, f"\nlrrt: this process {why}, so it ends here. The same command goes on.\n".encode())
    os._exit(code)


@contextmanager
def without_teardown() -> Iterator[None]:
    """End the process with the code of the block's exit as soon as all other exit handlers have run.

    Python would then take its modules down. A generator that TensorFlow still reads holds that up for ever: its thread
    waits for Python, and Python for the thread. Before that it would wait for threads that a task's code has started.
    """
    codes: list[int] = []
    atexit.register(_end, codes)  # the handlers that were registered last run first
    try:
        yield
    except SystemExit as ended:
        codes += [ended.code or 0] if isinstance(ended.code, int | None) else []
        _bound_the_end(codes)
        raise


def _bound_the_end(codes: list[int]) -> None:
    """Let what Python waits for at its end go on for a while, and no longer: other threads, and exit handlers."""
    others = [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
    _later(HANDLERS_S, _leave_handlers, codes)
    if others:
        _later(THREADS_S, _leave_threads, others)


def _later(seconds: float, do: Callable[[Any], None], argument: object) -> None:
    timer = threading.Timer(seconds, do, [argument])
    timer.daemon = True
    timer.start()


def _leave_threads(threads: Sequence[threading.Thread]) -> None:
    names = ", ".join(one.name for one in threads if one.is_alive())
    if names:
        _say_broken_off("threads of the task's code", THREADS_S, f": {names}")
        atexit._run_exitfuncs()  # the last of them ends the process


def _leave_handlers(codes: list[int]) -> None:
    _say_broken_off("exit handlers of the task's code or of a library", HANDLERS_S)
    _end(codes)


def _say_broken_off(what: str, seconds: float, names: str = "") -> None:
    message = f"lrrt: {what} still run {seconds:g} s after the end of the command, and are broken off{names}.\n"
    os.write(2, message.encode(errors="replace"))


def _end(codes: list[int]) -> None:
    if codes:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(codes[0])
