"""Knows the database that an Optuna study is kept in: how it is opened, when it is at fault, what its clock says."""

from __future__ import annotations

import contextlib
import math
import random
import re
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import optuna
    import sqlalchemy
    from sqlalchemy import URL

OPENING_S = 10.0  # for which a storage that does not answer is asked again when a study is opened
WORKING_S = 120.0  # the same while a study runs: as long as a database server may take to start again
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
CONNECT_TIMEOUT_S = 10
SQLITE_TIMEOUT_S = 30.0  # for which SQLite waits for another process to end its writing

T = TypeVar("T")
OnWait = Callable[[], None]


class StorageUnreachable(Exception):
    """A study's storage does not answer, after it was asked for some time."""


class StorageOfAnotherVersion(Exception):
    """A study's storage was made by another version of Optuna."""


class NoDriver(Exception):
    """The package that reaches a kind of database is not installed."""


class NoSuchStudy(Exception):
    """A storage that should hold a study holds none."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Calls a function again while the storage is at fault, with longer and longer pauses.

    Attributes:
        url: of the storage.
        give_up_after_s: seconds from the first fault until it is raised.
        on_wait: called before each pause; what it raises ends the waiting.
    """

    url: str
    give_up_after_s: float = WORKING_S
    on_wait: OnWait = lambda: None

    def __call__(self, action: Callable[[], T]) -> T:
        """Return what the function returns.

        Raises:
            StorageUnreachable: where the storage was at fault to the last.
        """
        began, pause = None, FIRST_PAUSE_S
        while True:
            try:
                return action()
            except Exception as error:
                fault = storage_fault(error)
                if fault is None:
                    raise
                began = time.monotonic() if began is None else began
                if time.monotonic() - began >= self.give_up_after_s:
                    raise StorageUnreachable(_unreachable(self.url, fault, self.give_up_after_s)) from error
            self.on_wait()
            time.sleep(pause * random.uniform(0.5, 1.0))  # many workers must not come back at one moment
            pause = min(2 * pause, LONGEST_PAUSE_S)


def storage_fault(error: BaseException | None) -> BaseException | None:
    """Return what shows that the storage, not the caller, is at fault and may recover; None where nothing does.

    Optuna wraps what its database raises, and does so again while it clears up, so all causes are looked at.
    """
    from sqlalchemy import exc

    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError) and _may_recover(error):
            return error
        error = error.__cause__ or error.__context__
    return None


def open_storage(url: str, *, creates: bool) -> optuna.storages.RDBStorage:
    """Open a storage; SQLite keeps a write-ahead log, 3 times faster and not torn by a killed process.

    A process has two connections at most: one of its own, one of its heartbeat. One is kept, and tested before use.

    Args:
        url: of the database; PostgreSQL is reached with the driver psycopg where it names none.
        creates: whether tables are made where there are none.

    Raises:
        StorageUnreachable: where it does not answer for `OPENING_S`.
        StorageOfAnotherVersion: where another version of Optuna made it.
        NoSuchStudy: where it has no tables and must not make them.
        NoDriver: where the package that reaches it is not installed.
    """
    return Retrying(url, OPENING_S)(lambda: _opened(url, creates))


def address(url: str) -> str:
    """Return where a storage is, for messages: host, port and database, or the file; no user and no password.

    >>> address("postgresql://me:secret@db.example:5433/studies?sslpassword=hidden")
    'db.example:5433/studies'
    """
    parsed = _parsed(url)
    if parsed.host is None:
        return parsed.database or parsed.drivername
    return f"{parsed.host}:{parsed.port or _default_port(parsed)}/{parsed.database or ''}"


def seconds_since_heartbeats(storage: optuna.storages.RDBStorage, trial_ids: Iterable[int]) -> dict[int, float]:
    """Return how long ago, by the clock of the database, each of these trials had its last heartbeat, if any."""
    import sqlalchemy

    heartbeats = sqlalchemy.table(
        "trial_heartbeats", sqlalchemy.column("trial_id"), sqlalchemy.column("heartbeat", sqlalchemy.DateTime)
    )
    wanted = list(trial_ids)
    if not wanted:
        return {}
    with storage.engine.connect() as connection:
        now = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar_one().replace(tzinfo=None)
        rows = connection.execute(
            sqlalchemy.select(heartbeats.c.trial_id, heartbeats.c.heartbeat).where(heartbeats.c.trial_id.in_(wanted))
        ).all()
    return {trial_id: (now - heartbeat).total_seconds() for trial_id, heartbeat in rows}


def write_curve(storage: optuna.storages.RDBStorage, trial_id: int, losses: Sequence[float]) -> None:
    """Write a trial's finite losses by epoch, counted from 1, where Optuna's dashboard and plots look for them.

    Optuna's own `report` takes one transaction for each of them, this takes one for all.
    """
    import sqlalchemy

    kinds = sqlalchemy.Enum("FINITE", "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype")
    table = sqlalchemy.table(
        "trial_intermediate_values",
        sqlalchemy.column("trial_id", sqlalchemy.Integer),
        sqlalchemy.column("step", sqlalchemy.Integer),
        sqlalchemy.column("intermediate_value", sqlalchemy.Double),
        sqlalchemy.column("intermediate_value_type", kinds),
    )
    rows = [
        {"trial_id": trial_id, "step": epoch, "intermediate_value": loss, "intermediate_value_type": "FINITE"}
        for epoch, loss in enumerate(losses, start=1)
        if math.isfinite(loss)
    ]
    # They are there already where it is called again because the storage's answer was lost.
    with contextlib.suppress(sqlalchemy.exc.IntegrityError), storage.engine.begin() as connection:
        if rows:
            connection.execute(table.insert(), rows)


def _opened(url: str, creates: bool) -> optuna.storages.RDBStorage:
    import optuna
    import sqlalchemy

    parsed = _parsed(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    nothing = f"{address(url)} must hold a study, but it holds none."
    if is_sqlite and not creates and not Path(parsed.database or "").exists():  # connecting would make the file
        raise NoSuchStudy(nothing)
    # Optuna fills in what stands in braces, which a password may have.
    text = parsed.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    try:
        storage = optuna.storages.RDBStorage(
            text, engine_kwargs=_engine_options(parsed), skip_table_creation=not creates
        )
    except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
        if not creates and _has_no_tables(error):
            raise NoSuchStudy(nothing) from error
        raise
    except ImportError as error:
        hint = ": pip install 'lrrt[postgresql]'" if parsed.drivername == "postgresql+psycopg" else ""
        raise NoDriver(f"A storage of {parsed.drivername} needs a package that is not installed{hint}.") from error
    except RuntimeError as error:
        raise StorageOfAnotherVersion(f"The storage at {address(url)} is of another version. {error}") from error
    weakref.finalize(storage, storage.engine.dispose)  # its connections must not outlive it
    if is_sqlite:
        _set_up_sqlite(storage.engine)
    return storage


def _set_up_sqlite(engine: sqlalchemy.Engine) -> None:
    """Keep a write-ahead log, and hold the lock from the beginning of each transaction.

    Optuna looks whether a trial waits before it takes it. Other databases lock the row while it looks; SQLite, unless
    told so, locks nothing before the first writing, so that two processes may both see that it waits.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # Python's driver must not begin transactions of its own
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def lock(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": SQLITE_TIMEOUT_S}}
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 1, "max_overflow": 1}
    if url.get_backend_name() == "postgresql" and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": CONNECT_TIMEOUT_S}
    return options


def _parsed(url: str) -> URL:
    import sqlalchemy

    parsed = sqlalchemy.make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _default_port(url: URL) -> int | str:
    known: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
    return known.get(url.get_backend_name(), "")


def _may_recover(error: BaseException) -> bool:
    """Say whether waiting may help; of SQLite's faults it helps only against another process's writing."""
    original = getattr(error, "orig", None)
    if type(original).__module__ != "sqlite3":
        return True
    return "locked" in str(original) or "busy" in str(original)


def _has_no_tables(error: BaseException) -> bool:
    found = error if getattr(error, "orig", None) else error.__cause__
    return bool(re.search(r"no such table|relation .* does not exist|doesn't exist", str(found)))


def _unreachable(url: str, fault: BaseException, seconds: float) -> str:
    told = (str(getattr(fault, "orig", None) or fault).strip().splitlines() or [type(fault).__name__])[0]
    password = _parsed(url).password
    told = told.replace(str(password), "***") if password else told
    return f"The storage at {address(url)} did not answer for {seconds:g} s: {told}"
