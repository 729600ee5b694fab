"""Check the SQLite file of a run before anything is read from it or written to it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from pipeline.failures import CorruptState
from pipeline.state.run_directory import RunDirectory

MAGIC = b"SQLite format 3\x00"  # https://sqlite.org/fileformat.html, section 1.3
REMEDY = "Put it back from a copy, or begin anew with another --state and --out."


def check_database(directory: RunDirectory) -> None:
    """Refuse a run directory whose study is gone or damaged, so that no new search begins in its place.

    Raises:
        CorruptState: with the file and the remedy; every command that opens a run raises the same.
    """
    file = directory.database
    had_study = directory.fingerprint.exists()
    if not file.exists() and not file.is_symlink():
        if had_study:
            raise CorruptState(f"{file} must hold the study of this run, but it is gone. {REMEDY}")
        return
    if not file.is_file():
        raise CorruptState(f"{file} must be a file, but it is something else. {REMEDY}")
    if file.stat().st_size == 0:  # SQLite makes an empty file first
        if had_study:
            raise CorruptState(f"{file} must hold the study of this run, but it is empty. {REMEDY}")
        return
    fault = fault_of(file)
    if fault:
        raise CorruptState(f"{file} must hold the study of this run, but it is damaged: {fault}. {REMEDY}")


def fault_of(file: Path) -> str:
    """Return what is wrong with a file of SQLite; "" if nothing is, or if SQLite cannot look now."""
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            return "it is no database"
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # busy, or not readable: who opens it for work says so
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if answer == "ok" else str(answer).splitlines()[-1]
