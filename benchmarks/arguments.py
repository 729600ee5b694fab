"""Read the arguments of benchmarks: what cannot be right is refused in words, before anything is measured."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


def count(text: str, *, least: int = 1) -> int:
    """Return a whole number.

    >>> count("3"), count("0", least=0)
    (3, 0)

    Raises:
        argparse.ArgumentTypeError: if it is none, or less than `least`.
    """
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, got {text!r}.")
    return int(text)


def duration(text: str) -> float:
    """Return a time in seconds.

    Raises:
        argparse.ArgumentTypeError: if it is negative, infinite or no number.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, got {text!r}.")
    return value


def folder_with(*names: str) -> Callable[[str], Path]:
    """Return what takes the path of a folder that has these files."""

    def folder(text: str) -> Path:
        path = Path(text)
        missing = [name for name in names if not (path / name).is_file()]
        if missing:
            raise argparse.ArgumentTypeError(f"must be a folder that has {' and '.join(names)}, got {text!r}.")
        return path

    return folder


def file(text: str) -> Path:
    """Return the path of a file that is there.

    Raises:
        argparse.ArgumentTypeError: if there is none.
    """
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"must be a file that is there, got {text!r}.")
    return Path(text)


def file_to_write(text: str) -> Path:
    """Return a path that can be written at the end: its folder is there.

    Raises:
        argparse.ArgumentTypeError: if its folder is not, or if the path is a folder.
    """
    path = Path(text)
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file in a folder that is there, got {text!r}.")
    return path


def known(parser: argparse.ArgumentParser, option: str, given: Sequence[str] | None, names: Iterable[str]) -> list[str]:
    """Return the names given, all that are known if none is; end the program if one is unknown."""
    names = list(names)
    unknown = [name for name in given or () if name not in names]
    if unknown:
        parser.error(f"argument {option}: must be some of {', '.join(names)}, got {', '.join(unknown)}.")
    return list(given or names)
