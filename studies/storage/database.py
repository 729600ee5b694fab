"""Open the database of a study."""

from __future__ import annotations

import random
import re
import time
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.storage import sqlite
from studies.storage.retrying import Retrying
from studies.storage.urls import BadUrl, address, check_kind, parsed

if TYPE_CHECKING:
    import optuna
    from sqlalchemy import URL

# In the words of SQLAlchemy, of libpq, and of drivers in Python.
UNKNOWN_PARAMETER = re.compile(
    r"""(?:argument\(s\)|invalid connection option|invalid URI query parameter:|unexpected keyword argument)"""
    r""" ["'](\w+)["']"""
)
MOST_COLLISIONS = 5  # with processes that make tables at the same time: Optuna makes them in several transactions
OPENING_S = 10.0  # so long a storage that does not answer is called again when a study is opened
CONNECT_TIMEOUT_S = 10


class StorageOfAnotherVersion(Exception):
    """A study's storage was made by another version of Optuna."""


class NoSuchStudy(Exception):
    """A storage that should hold a study holds none."""


def open_storage(url: str, *, creates: bool) -> optuna.storages.RDBStorage:
    """Open a storage; SQLite gets a write-ahead log, which is 3 times faster and survives a killed process.

    A process has at most two connections: one for its work, one for its heartbeat. One stays open, and is tested
    before use. A file of SQLite that may not be written can be looked at.

    Args:
        url: the URL of the database; PostgreSQL is reached with the driver psycopg if the URL names none.
        creates: whether tables are made if there are none.

    Raises:
        StorageUnreachable: if it does not answer for `OPENING_S`.
        StorageOfAnotherVersion: if another version of Optuna made it.
        NoSuchStudy: if it has no tables, and they must not be made.
        BadUrl: if its kind of database cannot be used, or the URL has unknown parameters.
    """
    retry = Retrying(url, OPENING_S)
    for _ in range(MOST_COLLISIONS):
        try:
            return retry(lambda: _opened(url, creates))
        except Exception as error:
            if not _is_made_by_another(error):  # Optuna writes its version also if it makes no tables
                raise
        time.sleep(random.uniform(0.5, 1.5))  # until the other process has made all tables
    return retry(lambda: _opened(url, creates))


def _opened(url: str, creates: bool) -> optuna.storages.RDBStorage:
    import optuna
    import sqlalchemy

    check_kind(url)
    parts = parsed(url)
    is_sqlite = parts.get_backend_name() == "sqlite"
    is_look = is_sqlite and not creates and sqlite.may_only_be_read(parts)
    nothing = f"{address(url)} must hold a study, but it holds none."
    if is_sqlite and not creates and not Path(parts.database or "").exists():  # a connection would make the file
        raise NoSuchStudy(nothing)
    # Optuna replaces text in braces, and a password may have braces.
    text = parts.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Query string argument", sqlalchemy.exc.SAWarning)
            storage = optuna.storages.RDBStorage(
                text, engine_kwargs=_engine_options(parts, is_look), skip_table_creation=not creates
            )
    except (
        sqlalchemy.exc.DBAPIError,
        sqlalchemy.exc.SAWarning,
        optuna.exceptions.StorageInternalError,
        TypeError,
    ) as error:
        unknown = UNKNOWN_PARAMETER.search(f"{error} {error.__cause__}")
        if unknown:
            raise BadUrl(
                f"The URL of the storage at {address(url)} must have parameters that {parts.drivername} knows, got "
                f"{unknown[1]!r}."
            ) from error
        if not creates and _has_no_tables(error):
            raise NoSuchStudy(nothing) from error
        raise
    except RuntimeError as error:
        if type(error) is not RuntimeError:  # Optuna's has no class of its own; RecursionError is one too
            raise
        raise StorageOfAnotherVersion(f"The storage at {address(url)} is of another version. {error}") from error
    weakref.finalize(storage, storage.engine.dispose)  # its connections must not outlive it
    if is_sqlite and not is_look:
        sqlite.set_up(storage.engine)
    return storage


def _engine_options(url: URL, is_look: bool) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return sqlite.engine_options(url, is_look=is_look)
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 1, "max_overflow": 1}
    if url.get_backend_name() == "postgresql" and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": CONNECT_TIMEOUT_S}
    return options


def _is_made_by_another(error: BaseException) -> bool:
    """Say whether another process was making the same tables at the same time."""
    cause = error if getattr(error, "orig", None) else error.__cause__
    return bool(re.search(r"already exists|UNIQUE constraint failed|duplicate key", str(cause)))


def _has_no_tables(error: BaseException) -> bool:
    cause = error if getattr(error, "orig", None) else error.__cause__
    return bool(re.search(r"no such table|relation .* does not exist|doesn't exist", str(cause)))
