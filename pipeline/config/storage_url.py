"""Check the URL of a study's database, and show it without its password."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL

SECRETS = ("pass", "pwd", "secret", "token")  # a parameter whose name has one of these in it may be a password
SCHEME = re.compile(r"[a-z][a-z0-9+_]*://")


def is_storage_url(url: str) -> bool:
    """Say whether a URL can be read, in one way only.

    >>> is_storage_url("postgresql://me:t%40p@host/study"), is_storage_url("postgresql://me:t@p@host/study")
    (True, False)
    """
    return _parsed(url) is not None


def without_password(url: str) -> str:
    """Return a database URL without its password; of a URL that cannot be read, return the scheme alone.

    >>> without_password("postgresql://me:secret@host/study?sslpassword=hidden&application_name=me@home")
    'postgresql://me@host/study?application_name=me%40home'
    >>> without_password("postgresql://me:top@secret@host/study")
    'postgresql://...'
    """
    if not url:
        return url
    parsed = _parsed(url)
    if parsed is None:
        scheme = SCHEME.match(url)
        return f"{scheme[0] if scheme else ''}..."
    query = {name: value for name, value in parsed.query.items() if not any(part in name.lower() for part in SECRETS)}
    if parsed.password is None and len(query) == len(parsed.query):
        return url
    bare = parsed.create(
        parsed.drivername,
        parsed.username or None,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query=query,
    )
    return bare.render_as_string()


def source_without_password(text: str) -> str:
    """Return the folder, or the URL without its password, of an earlier study; a URL without a scheme is not shown.

    >>> source_without_password("runs/1/out"), source_without_password("me:secret@host/study")
    ('runs/1/out', '...')
    """
    may_be_url = "://" in text or re.search(":.*@", text)
    return without_password(text) if may_be_url else text


def _parsed(url: str) -> URL | None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if not SCHEME.match(url) or not url.isprintable() or " " in url:
        return None
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        return None
    place, _, query = url.partition("://")[2].removeprefix(_user_part(url)).partition("?")
    has_second_at = parsed.username is not None and "@" in place
    return None if has_second_at or not re.fullmatch(r"([\w.]+=[^&]*(&|$))*", query) else parsed


def _user_part(url: str) -> str:
    """Return the text before the `@` at which SQLAlchemy ends the user and the password."""
    matched = re.match(r"[^:/]*(:[^@]*)?@", url.partition("://")[2])
    return matched[0] if matched else ""
