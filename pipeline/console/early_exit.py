"""Keep others from ending the command, or from writing tracebacks: the task's code and threads, libraries' warnings."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from typing import NoReturn

from pipeline.failures import BAD_TASK

OURS = ("lrrt", "studies", "pipeline")


def make_exits_of_others_faults() -> None:
    """Make `os._exit` end this process as for a fault of the task, unless this project's own code calls it.

    Nothing else can be done in its place: whoever calls it wants no handler to run. Processes that are forked from
    this one end as they want to.
    """
    leave, pid = os._exit, os.getpid()

    def checked(status: int) -> NoReturn:
        caller = sys._getframe().f_back  # None if Python itself calls it, as an exit handler
        name = "" if caller is None else caller.f_globals.get("__name__", "")
        if os.getpid() != pid or name.partition(".")[0] in OURS:
            leave(status)
        from lrrt.words import printable  # not before: a command that is ending may have imported nothing of it

        place = "" if caller is None else f" ({caller.f_code.co_filename}:{caller.f_lineno})"
        message = printable(f"lrrt: The task's code must return to lrrt, but it left by os._exit({status!r}){place}.")
        os.write(2, f"{message}\n".encode(errors="replace"))
        leave(BAD_TASK)

    os._exit = checked


def say_what_threads_raise() -> None:
    """Say in a sentence what a thread of the task's code raises, which ends the thread alone."""

    def hook(raised: threading.ExceptHookArgs) -> None:
        if raised.exc_value is None or isinstance(raised.exc_value, SystemExit):
            return
        from lrrt.words import printable  # not before: it imports much
        from studies.user_errors import sentence_of

        name = "" if raised.thread is None else f" {raised.thread.name}"
        message = printable(sentence_of(raised.exc_value, f"The thread{name} ended early: it"))
        os.write(2, f"lrrt: {message}\n".encode(errors="replace"))

    threading.excepthook = hook


def let_warnings_be_no_errors() -> None:
    """Let what the environment makes an error, as PYTHONWARNINGS=error does, be a warning as it is without that.

    Keras and others warn of what neither the user nor this project can mend.
    """
    for one in [one for one in warnings.filters if one[0] == "error"]:
        warnings.filters.remove(one)  # type: ignore[attr-defined]  # a list, though typed as a sequence
