"""Let a command run on if a standard stream is closed, or if its reader leaves before the end."""

import io
import os
import sys
from typing import Literal, TextIO

ProgressStyle = Literal["auto", "bar", "plain", "none"]


def make_usable() -> None:
    """Open each closed standard stream, and let stdout print the name of any file."""
    reopen_closed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # as Python reads file names that are not UTF-8


def reopen_closed() -> None:
    """Open each closed standard stream, which then leads nowhere.

    Otherwise the first files of a run would take the number of a closed stream, and would receive the logs of native
    code.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdin = _usable(sys.stdin, 0, "r")
    sys.stdout = _usable(sys.stdout, 1, "w")
    sys.stderr = _usable(sys.stderr, 2, "w")


def say(text: str, stream: TextIO) -> None:
    """Write a line; if the reader has left, discard this and all later lines, and let the run go on.

    So it does if messages lead to a disk that is full.

    Raises:
        OSError: if what the command is asked for, on stdout, cannot be written.
    """
    if stream.closed:  # by the task's code
        return
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except OSError as error:
        if stream is not sys.stderr and not isinstance(error, BrokenPipeError):
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _usable(stream: TextIO | None, number: int, mode: str) -> TextIO:
    return _opened(number, mode) if stream is None or getattr(stream, "closed", False) else stream


def _opened(number: int, mode: str) -> TextIO:
    return io.TextIOWrapper(open(number, f"{mode}b", closefd=False), encoding="utf-8")  # as long as the process
