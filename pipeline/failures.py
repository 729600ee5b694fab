"""All failures of a run, each with the exit code of the command that ends with it.

A new failure, or another exit code, is a change of this file alone. Failures of libraries are named in a table, so that
none of them is imported to look one up.
"""

import errno
from collections.abc import Iterator

BAD_USAGE, NO_RANGE, NO_TRIAL, GATE_FAILED, TIME_USED_UP = 2, 3, 4, 5, 75
BAD_TASK, STORAGE_UNREACHABLE, OUR_BUG, NOT_OURS, NEEDS_REPAIR = 65, 69, 70, 73, 74
INTERRUPTED, TERMINATED = 130, 143
WHAT_TO_DO = {  # in a script or a scheduler
    0: "go on",
    BAD_USAGE: "not retry: mend what the message names",
    NO_RANGE: "not retry: read the verdicts",
    NO_TRIAL: "not retry: read the failures in `trials.csv`",
    GATE_FAILED: "not retry",
    BAD_TASK: "not retry: mend the task",
    STORAGE_UNREACHABLE: "retry later",
    OUR_BUG: "report it",
    NOT_OURS: "not retry: take other folders, or wait for the other process",
    NEEDS_REPAIR: "repair, then run the same command again",
    TIME_USED_UP: "requeue: the same command goes on",
    INTERRUPTED: "requeue: the same command goes on",
    TERMINATED: "requeue: the same command goes on",
}


class Failure(Exception):
    """A run cannot go on; its text is a sentence for people."""

    exit_code = OUR_BUG


class ConfigError(Failure, ValueError):
    """The config cannot be used; the text lists every mistake with its place, its law and what was received."""

    exit_code = BAD_USAGE


class BadRunDirectory(Failure, ValueError):
    """The folders given cannot be a run's."""

    exit_code = BAD_USAGE


class NoBounds(Failure, ValueError):
    """There are no bounds to search in, or they cannot be read."""

    exit_code = BAD_USAGE


class NoSuchTrial(Failure, ValueError):
    """There is no trial of this number to export, or no such file to write it to."""

    exit_code = BAD_USAGE


class WouldOverwrite(Failure, ValueError):
    """A file would be written over one of the user's."""

    exit_code = BAD_USAGE


class BadWarmStart(Failure, ValueError):
    """There are no earlier results to start from, or they are another model's."""

    exit_code = BAD_USAGE


class NotFinished(Failure, ValueError):
    """There are no results yet."""

    exit_code = BAD_USAGE


class NoSharedStorage(Failure, ValueError):
    """Workers on many machines have no storage that all of them reach."""

    exit_code = BAD_USAGE


class SlurmError(Failure, RuntimeError):
    """Slurm is not there, or refuses; the text has its own words."""

    exit_code = BAD_USAGE


class NoUsableRange(Failure):
    """No optimizer has a learning rate worth searching."""

    exit_code = NO_RANGE


class NoTrialCompleted(Failure):
    """The study has ended and none of its trials was trained to its end."""

    exit_code = NO_TRIAL


class QualityGateFailed(Failure):
    """The results are written, and what was asked of them does not hold."""

    exit_code = GATE_FAILED


class TaskError(Failure):
    """The task's data or model break their contract; running it again will not help."""

    exit_code = BAD_TASK


class RunLocked(Failure, RuntimeError):
    """Another process works in this run directory."""

    exit_code = NOT_OURS


class ForeignRun(Failure, RuntimeError):
    """The run directory, or the stored study, is defined otherwise."""

    exit_code = NOT_OURS


class CorruptState(Failure, RuntimeError):
    """A file in the state directory is not what was written there."""

    exit_code = NEEDS_REPAIR


class TooFewFiles(Failure, RuntimeError):
    """This process may not open as many files as a run needs."""

    exit_code = NEEDS_REPAIR


class Stopped(KeyboardInterrupt):
    """A run was asked to stop. As a KeyboardInterrupt it passes through what takes exceptions for a failed trial."""

    exit_code = INTERRUPTED
    reason = "by Ctrl-C"


class Interrupted(Stopped):
    """SIGINT came."""


class Terminated(Stopped):
    """SIGTERM came."""

    exit_code = TERMINATED
    reason = "by SIGTERM"


class TimeUsedUp(Stopped):
    """The time that the run was given is used up."""

    exit_code = TIME_USED_UP
    reason = "because its time is used up"


def behind(failure: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that it came from, the first one last.

    Code in C that was at work when a signal came may raise a SystemError in place of the stop, with that as its cause.
    """
    while failure is not None:
        yield failure
        failure = failure.__cause__ or failure.__context__


FAILURES_OF_OTHERS = {
    "sqlalchemy.exc.ArgumentError": BAD_USAGE,
    "studies.storage.database.NoSuchStudy": BAD_USAGE,
    "studies.storage.urls.BadUrl": BAD_USAGE,
    "studies.user_code.UserFault": BAD_TASK,
    "studies.storage.retrying.StorageUnreachable": STORAGE_UNREACHABLE,
    "sqlalchemy.exc.OperationalError": STORAGE_UNREACHABLE,
    "optuna.exceptions.StorageInternalError": STORAGE_UNREACHABLE,
    "studies.space.differences.ForeignStudy": NOT_OURS,
    "studies.storage.database.StorageOfAnotherVersion": NEEDS_REPAIR,
    "sqlalchemy.exc.DatabaseError": NEEDS_REPAIR,
}
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# The others are of files that are no longer what this project made of them, or of limits of the machine.
OF_FILES = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL}
OF_MACHINE = {errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.ESTALE}
DISK_FAULTS = DISK_FULL | OF_FILES | OF_MACHINE
SQLITE_DISK_FAULTS = (
    *("disk is full", "disk I/O error", "readonly database", "unable to open database file"),
    *("disk image is malformed", "file is not a database"),
)


def exit_code(failure: BaseException) -> int:
    """Return the exit code for what a stage raised.

    A failure of a library has the code of its first ancestor in the table. Faults of the storage are looked for among
    its causes too, because engines wrap them.
    """
    if isinstance(failure, KeyboardInterrupt):
        return getattr(failure, "exit_code", INTERRUPTED)
    code, *of_causes = (_code_of(one) for one in behind(failure))
    of_storage = (one for one in of_causes if one in (STORAGE_UNREACHABLE, NEEDS_REPAIR))
    return next(of_storage, OUR_BUG) if code is None else code


def is_disk_full(failure: BaseException | None) -> bool:
    """Say whether a failure comes from a disk that is full, or a quota or a limit of file sizes that is used up."""
    for each in behind(failure):
        errors = (each, getattr(each, "orig", None))
        if any(isinstance(one, OSError) and one.errno in DISK_FULL for one in errors):
            return True
        if "disk is full" in str(each) or "No space left on device" in str(each):
            return True
    return False


def _code_of(failure: BaseException) -> int | None:
    if isinstance(failure, Failure):
        return failure.exit_code
    if isinstance(failure, OSError):
        return NEEDS_REPAIR if failure.errno in DISK_FAULTS else None
    names = (f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in type(failure).__mro__)
    code = next((FAILURES_OF_OTHERS[name] for name in names if name in FAILURES_OF_OTHERS), None)
    if code == STORAGE_UNREACHABLE and any(fault in _chain_text(failure) for fault in SQLITE_DISK_FAULTS):
        return NEEDS_REPAIR
    return code


def _chain_text(failure: BaseException | None) -> str:
    return "\n".join(map(str, behind(failure)))
