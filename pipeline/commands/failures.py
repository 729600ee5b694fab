"""Turn what a command raises into its exit code and a message on stderr."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from pipeline.console.open_files import lack_of_files
from pipeline.console.streams import say
from pipeline.failures import (
    BAD_TASK,
    INTERRUPTED,
    NEEDS_REPAIR,
    OUR_BUG,
    STORAGE_UNREACHABLE,
    Failure,
    Stopped,
    TaskError,
    TooFewFiles,
    exit_code,
    is_disk_full,
)

MAX_LETTERS = 1000  # of a line that others wrote
OURS = ("lrrt", "studies", "pipeline")  # their own texts are made for people, and hide passwords
WITH_TRACEBACK = {BAD_TASK, STORAGE_UNREACHABLE, OUR_BUG, NEEDS_REPAIR}  # their traceback helps; -v shows it


@contextmanager
def exit_codes(*, verbose: bool) -> Iterator[None]:
    """Turn what the block raises into a message on stderr and the exit code of the process."""
    try:
        yield
    except BaseException as raised:
        raise typer.Exit(say_failure(raised, verbose=verbose)) from None


def say_failure(raised: BaseException, *, verbose: bool) -> int:
    """Say on stderr what a command raised; return the exit code of the process."""
    if isinstance(raised, Stopped):  # it may have come amid an import, after which NumPy cannot be imported any more
        say(f"lrrt: {_message(raised, raised.exit_code, verbose=verbose)}", sys.stderr)
        return raised.exit_code
    from lrrt.words import printable  # lrrt imports NumPy, which `--help` does not need

    failure = _of_limit(_of_task(raised))
    code = exit_code(failure)
    if verbose and code in WITH_TRACEBACK:
        traceback.print_exception(failure)
    say(printable(f"lrrt: {_message(failure, code, verbose=verbose)}"), sys.stderr)
    return code


def _of_task(failure: BaseException) -> BaseException:
    """Return what the task's own code raised as a fault of the task, if it left by a door that nothing else guards.

    That may be a thread, a handler of a signal, or a method that a library calls at its own time.
    """
    from studies.user_errors import described, raised_by

    place = raised_by(failure)
    if place is None or isinstance(failure, Failure) or exit_code(failure) not in (OUR_BUG, INTERRUPTED):
        return failure
    of_task = TaskError(f"The task's code must return to lrrt, but it raised {described(failure)} ({place}).")
    of_task.__cause__ = failure
    return of_task


def _of_limit(failure: BaseException) -> BaseException:
    """Return what a library raised as a lack of files, if it may not have been able to open its own."""
    lack = lack_of_files() if exit_code(failure) == OUR_BUG else ""
    if not lack:
        return failure
    of_limit = TooFewFiles(f"{lack} Raise the limit with `ulimit -n 1024`, then run the same command again to go on.")
    of_limit.__cause__ = failure
    return of_limit


def _message(failure: BaseException, code: int, *, verbose: bool) -> str:
    hint = "" if verbose or code not in WITH_TRACEBACK else " Run it again with -v to see where."
    if isinstance(failure, KeyboardInterrupt):
        return f"stopped {getattr(failure, 'reason', Stopped.reason)}; run the same command again to go on."
    if code == OUR_BUG:
        text = str(failure)[:MAX_LETTERS].removesuffix(".")
        return f"this is a fault of lrrt, please report it: {type(failure).__name__}: {text}.{hint}"
    if code == STORAGE_UNREACHABLE:
        return (
            f"the study's storage cannot be reached: {_first_line(failure)} Look whether its server runs and the URL "
            f"is right, then run the same command again to go on.{hint}"
        )
    if code == NEEDS_REPAIR and is_disk_full(failure):
        return (
            f"the disk is full, or a limit of file sizes is reached: {_first_line(failure)} Make room, then run the "
            f"same command again to go on.{hint}"
        )
    if code == NEEDS_REPAIR:
        is_said = type(failure).__module__.partition(".")[0] in OURS
        remedy = "" if is_said else " Look at the disk and at `ulimit -a`, then run the same command again to go on."
        return f"a file cannot be read or written: {_first_line(failure)}{remedy}{hint}"
    text = str(failure)
    return f"{text}{'' if text.endswith(('.', '?')) else '.'}{hint}"


def _first_line(failure: BaseException) -> str:
    while type(failure).__module__.partition(".")[0] not in OURS and failure.__cause__ is not None:
        failure = failure.__cause__  # what a library wraps tells more
    line = (str(failure).splitlines() or [type(failure).__name__])[0][:MAX_LETTERS]
    return line if line.endswith(".") else f"{line}."
