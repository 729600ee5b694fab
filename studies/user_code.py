"""Run a user's code: whatever it raises becomes one sentence, and what it changes in this process is put back."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from studies.user_errors import is_of_user, place_of, sentence_of

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class UserFault(Exception):
    """A user's code raised; the text says what and where."""


@contextmanager
def user_code(law: str, *, remedy: str = "", raises: type[Exception] = UserFault) -> Iterator[None]:
    """Run a user's code in the block, and turn what it raises into one sentence.

    A stop, an error of a class of this project, a fault of the storage or of the disk, and a bug of this project pass
    as they are.

    Args:
        law: the beginning of the sentence, before "raised".
        remedy: a sentence that follows.
        raises: the class that is raised.
    """
    try:
        with left_as_found():
            yield
    except BaseException as error:
        if is_stop(error) or not is_of_user(error):
            raise
        raise raises(sentence_of(error, law, remedy)) from error


def tried(call: Callable[[], T]) -> tuple[T, None] | tuple[None, BaseException]:
    """Call what runs a user's code somewhere in its space; return its result, or what it raised unless that is a stop.

    A value for which the code raises, or leaves by `sys.exit`, is one that fails, and no end of the run.
    """
    try:
        with left_as_found():
            return call(), None
    except BaseException as error:
        if is_stop(error):
            raise
        return None, error


@contextmanager
def left_as_found() -> Iterator[None]:
    """Put back what a user's code may change to this process's harm when the block ends.

    It is the working directory, warnings that are made errors, NumPy's handling of floating-point errors, the standard
    streams, the handlers of signals, a lower limit of recursion, folders that modules are no longer looked for in, and
    a folder for temporary files that is none. A process that the code forked ends here, since a second one must not go
    on with the same run.
    """
    folder, numbers, handlers, streams = _folder(), np.geterr(), _handlers(), (sys.stdout, sys.stderr)
    pid, depth, path = os.getpid(), sys.getrecursionlimit(), list(sys.path)
    added: list[Any] = []
    try:
        with warnings.catch_warnings():
            before = list(warnings.filters)
            try:
                yield
            finally:
                added = [one for one in warnings.filters if one not in before and one[0] != "error"]
    finally:
        if os.getpid() != pid:
            os._exit(0)
        sys.setrecursionlimit(max(depth, sys.getrecursionlimit()))
        warnings.filters[:0] = added  # type: ignore[index]  # a list, though typed as a sequence
        sys.path += [one for one in path if one not in sys.path]
        if tempfile.tempdir is not None and not os.path.isdir(tempfile.tempdir):
            tempfile.tempdir = None
        np.seterr(**numbers)
        sys.stdout, sys.stderr = streams
        if folder is not None and folder != _folder():
            with contextlib.suppress(OSError):  # it was removed
                os.chdir(folder)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def is_stop(error: BaseException) -> bool:
    """Say whether an exception asks this process to stop, and is not a user's code leaving by that door.

    A signal raises an exception of this project's, or, if Python's own handler is set, a plain KeyboardInterrupt.
    """
    if isinstance(error, GeneratorExit):  # of a generator of ours that is closed
        return place_of(error) is None
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and (type(error) is not KeyboardInterrupt or is_default)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _handlers() -> dict[signal.Signals, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in SIGNALS}
