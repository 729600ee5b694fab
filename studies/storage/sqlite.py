"""Set up a connection to SQLite: for work with a write-ahead log, or for a look where nothing may be written."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy import URL

TIMEOUT_S = 30.0  # so long SQLite waits for another process that is writing


def may_only_be_read(parts: URL) -> bool:
    """Say whether this process may read a file of SQLite, but not write to it, as on a disk that is read-only."""
    file = _file(parts)
    return file.is_file() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def engine_options(parts: URL, *, is_look: bool) -> dict[str, Any]:
    """Return the options of SQLAlchemy's engine.

    Args:
        parts: the URL.
        is_look: whether the file is only read.
    """
    if not is_look:
        return {"connect_args": {"timeout": TIMEOUT_S}}
    return {"creator": lambda: _looking(_file(parts))}


def set_up(engine: sqlalchemy.Engine) -> None:
    """Set a write-ahead log, and take the lock at the beginning of each transaction.

    Optuna reads a study before it adds a trial to it. If a transaction of SQLite reads and then writes, it fails at
    once if another process has written in between, unless it began with the lock.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # Python's driver must not begin transactions itself
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def lock(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()


def _looking(file: Path) -> sqlite3.Connection:
    """Open a file without a change to its folder.

    A write-ahead log is read by an index beside it. If there is none, no process works on the file and all is in it,
    but SQLite cannot see that and would make an index (https://sqlite.org/wal.html, "Read-Only Databases").
    """
    has_index = file.with_name(f"{file.name}-shm").exists()
    how = "mode=ro" if has_index or os.access(file.parent, os.W_OK) else "immutable=1"
    return sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True, timeout=TIMEOUT_S, check_same_thread=False)


def _file(parts: URL) -> Path:
    return Path(parts.database or "")
