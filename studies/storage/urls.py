"""Read the URL of a storage, and name the storage in messages without its password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL


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
