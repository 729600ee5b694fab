"""Keep others from ending the command, or from writing tracebacks: the task's code, libraries' warnings."""

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


def say_what_is_raised_aside() -> None:
    """Say in a sentence what the task's code raises where Python passes it on to nobody, and the command goes on.

    It may be a thread, which ends, a destructor, or an exit handler.
    """

    def of_thread(raised: threading.ExceptHookArgs) -> None:
        name = "" if raised.thread is None else f" {raised.thread.name}"
        if not isinstance(raised.exc_value, SystemExit):
            _say(raised.exc_value, f"The thread{name} ended early: it")

    def of_others(raised: sys.UnraisableHookArgs) -> None:
        if not sys.is_finalizing():  # then nothing can be imported any more, and nothing is left to mend
            _say(raised.exc_value, "A destructor or an exit handler")

    threading.excepthook, sys.unraisablehook = of_thread, of_others


def let_warnings_be_no_errors() -> None:
    """Let what the environment makes an error, as PYTHONWARNINGS=error does, be a warning as it is without that.

    Keras and others warn of what neither the user nor this project can mend.
    """
    for one in [one for one in warnings.filters if one[0] == "error"]:
        warnings.filters.remove(one)  # type: ignore[attr-defined]  # a list, though typed as a sequence


def _say(error: BaseException | None, law: str) -> None:
    if error is None:
        return
    from lrrt.words import printable  # not before: it imports much
    from studies.user_errors import sentence_of

    os.write(2, f"lrrt: {printable(sentence_of(error, law))}\n".encode(errors="replace"))
