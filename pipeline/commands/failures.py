"""Turn failures into exit codes and messages."""

import errno
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from pipeline.console.stopping import Interrupted, Terminated, TimeUsedUp
from pipeline.console.streams import say

OUR_BUG = 70
STORAGE_UNREACHABLE = 69
NEEDS_REPAIR = 74
INTERRUPTED = 130
TERMINATED = 143
TIME_USED_UP = 75
STOPPED = {Interrupted: INTERRUPTED, Terminated: TERMINATED, TimeUsedUp: TIME_USED_UP}
STOPPED_BY = {INTERRUPTED: "by Ctrl-C", TERMINATED: "by SIGTERM", TIME_USED_UP: "because its time is used up"}

# By name, so that nothing is imported to look a failure up; a failure's first ancestor in the table decides.
EXIT_CODES = {
    "pipeline.config.messages.ConfigError": 2,
    "pipeline.state.run_directory.BadRunDirectory": 2,
    "sqlalchemy.exc.ArgumentError": 2,
    "sqlalchemy.exc.NoSuchModuleError": 2,
    "pipeline.steps.given_bounds.NoBounds": 2,
    "pipeline.report.files.NotFinished": 2,
    "pipeline.workers.submission.NoSharedStorage": 2,
    "pipeline.workers.slurm.SlurmError": 2,
    "studies.storage.database.NoSuchStudy": 2,
    "studies.storage.database.NoDriver": 2,
    "pipeline.steps.narrowing.NoUsableRange": 3,
    "pipeline.report.files.NoTrialCompleted": 4,
    "pipeline.report.files.QualityGateFailed": 5,
    "pipeline.task.loading.TaskError": 65,
    "studies.storage.retrying.StorageUnreachable": STORAGE_UNREACHABLE,
    "sqlalchemy.exc.OperationalError": STORAGE_UNREACHABLE,
    "optuna.exceptions.StorageInternalError": STORAGE_UNREACHABLE,
    "pipeline.state.run_lock.RunLocked": 73,
    "pipeline.state.ownership.ForeignRun": 73,
    "studies.space.differences.ForeignStudy": 73,
    "studies.storage.database.StorageOfAnotherVersion": NEEDS_REPAIR,
    "pipeline.state.run_directory.CorruptState": NEEDS_REPAIR,
    "sqlalchemy.exc.DatabaseError": NEEDS_REPAIR,
}
DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}
SQLITE_DISK_FAULTS = ("disk is full", "disk I/O error", "readonly database", "unable to open database file")
WITH_TRACEBACK = {65, STORAGE_UNREACHABLE, OUR_BUG, NEEDS_REPAIR}  # codes whose traceback helps; shown with -v


def exit_code(failure: BaseException) -> int:
    """Return the exit code for what a stage raised: the first in `EXIT_CODES` of its class and its ancestors.

    Faults of the storage are looked for among its causes too, because engines wrap them.
    """
    if isinstance(failure, KeyboardInterrupt):
        return next((code for kind, code in STOPPED.items() if isinstance(failure, kind)), INTERRUPTED)
    code = _own_code(failure)
    cause = failure.__cause__ or failure.__context__
    while code is None and cause is not None:
        found = _own_code(cause)
        code = found if found in (STORAGE_UNREACHABLE, NEEDS_REPAIR) else None
        cause = cause.__cause__ or cause.__context__
    return OUR_BUG if code is None else code


@contextmanager
def exit_codes(*, verbose: bool) -> Iterator[None]:
    """Turn what the block raises into a message on stderr and the exit code of the process."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as failure:
        code = exit_code(failure)
        if verbose and code in WITH_TRACEBACK:
            traceback.print_exception(failure)
        say(_printable(f"lrrt: {_message(failure, code, verbose=verbose)}"), sys.stderr)
        raise typer.Exit(code) from None


def _own_code(failure: BaseException) -> int | None:
    if isinstance(failure, OSError):
        return NEEDS_REPAIR if failure.errno in DISK_FAULTS else None
    names = (f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in type(failure).__mro__)
    code = next((EXIT_CODES[name] for name in names if name in EXIT_CODES), None)
    if code == STORAGE_UNREACHABLE and any(fault in _chain_text(failure) for fault in SQLITE_DISK_FAULTS):
        return NEEDS_REPAIR
    return code


def _chain_text(failure: BaseException | None) -> str:
    texts = []
    while failure is not None:
        texts.append(str(failure))
        failure = failure.__cause__ or failure.__context__
    return "\n".join(texts)


def _message(failure: BaseException, code: int, *, verbose: bool) -> str:
    hint = "" if verbose or code not in WITH_TRACEBACK else " Run it again with -v to see where."
    if isinstance(failure, KeyboardInterrupt):
        return f"stopped {STOPPED_BY[code]}; run the same command again to go on."
    if code == OUR_BUG:
        return f"this is a fault of lrrt, please report it: {type(failure).__name__}: {failure}{hint}"
    if code == STORAGE_UNREACHABLE:
        return f"the study's storage cannot be reached: {_first_line(failure)}{hint}"
    if code == NEEDS_REPAIR:
        return f"a file cannot be read or written: {_first_line(failure)}{hint}"
    text = str(failure)
    return f"{text}{'' if text.endswith('.') else '.'}{hint}"


def _printable(message: str) -> str:
    """Return a message whose lines hold no control characters: a name in it must not move a cursor."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in message)


def _first_line(failure: BaseException) -> str:
    return (str(failure).splitlines() or [type(failure).__name__])[0]
