"""Read the URL of a storage, and name the storage in messages without its password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL


class BadUrl(Exception):
    """The URL of a storage cannot be used: its kind of database, its driver or its parameters."""


def check_kind(url: str) -> None:
    """Refuse a kind of database that no study can be kept in, or that nothing installed reaches.

    Raises:
        BadUrl: saying so.
    """
    from sqlalchemy.exc import NoSuchModuleError

    parts = parsed(url)
    if parts.get_backend_name() == "sqlite" and parts.database in (None, "", ":memory:"):
        raise BadUrl("A storage must last, but SQLite without a file is in memory. Name a file: sqlite:///study.db.")
    try:
        dialect = parts.get_dialect()
        dialect.import_dbapi()
    except NoSuchModuleError:
        raise BadUrl(
            "A storage must be of a kind of database that SQLAlchemy knows, such as postgresql, mysql or sqlite, got "
            f"{parts.drivername!r}."
        ) from None
    except ImportError as error:
        hint = ": pip install 'lrrt[postgresql]'" if parts.drivername == "postgresql+psycopg" else ""
        raise BadUrl(
            f"A storage of {parts.drivername} needs the module {error.name}, which is not installed{hint}."
        ) from None
    if dialect.is_async:
        raise BadUrl(f"A storage must have a driver that waits for answers, got {parts.drivername!r}. Leave it out.")


def parsed(url: str) -> URL:
    """Return the parts of a URL; PostgreSQL is reached with the driver psycopg if the URL names none."""
    import sqlalchemy

    made = sqlalchemy.make_url(url)
    if made.drivername in ("postgres", "postgresql"):
        return made.set(drivername="postgresql+psycopg")
    return made


def address(url: str) -> str:
    """Return the address of a storage for messages: host, port and database, or the file; no user and no password.

    >>> address("postgresql://me:secret@db.example:5433/studies?sslpassword=hidden")
    'db.example:5433/studies'
    """
    parts = parsed(url)
    if parts.host is None:
        return parts.database or parts.drivername
    return f"{parts.host}:{parts.port or _default_port(parts)}/{parts.database or ''}"


def _default_port(url: URL) -> int | str:
    known: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
    return known.get(url.get_backend_name(), "")
