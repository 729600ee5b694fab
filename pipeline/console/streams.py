"""Knows how a command lives with standard streams that are closed, or whose reader leaves before the end."""

import io
import os
import sys
from typing import TextIO


def make_usable() -> None:
    """Give each standard stream that is closed a place to go to, and let stdout name any file that there is.

    The first files that a run opens would take the number of a closed stream otherwise, and what native code logs
    to it would stand in them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or _opened(0, "r")
    sys.stdout = sys.stdout or _opened(1, "w")
    sys.stderr = sys.stderr or _opened(2, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # as Python reads names that are not UTF-8


def say(text: str, stream: TextIO) -> None:
    """Write a line; where its reader has left, this and all that follows goes nowhere, and the run goes on."""
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _opened(number: int, mode: str) -> TextIO:
    return io.TextIOWrapper(open(number, f"{mode}b", closefd=False), encoding="utf-8")  # as long as the process
