"""Report a value of a config that breaks its law: what it is, without secrets, and which key has it."""

import re
from collections.abc import Iterable
from typing import Any

NONE = "none"  # the value of a key without a value, because TOML has no word for it


class MistakenKey(ValueError):
    """A key of a table breaks a law together with keys of another table."""

    def __init__(self, key: str, law: str) -> None:
        super().__init__(law)
        self.key = key


def shown(value: object) -> str:
    """Return a value for a message: not too long, and without the user and the password of a URL.

    >>> shown("postgresql://me:top@SECRET@host/db?password=hidden")
    "'postgresql://...@host/db?password=...'"
    """
    text = re.sub(r"://.*@", "://...@", repr(value), flags=re.DOTALL)  # it may be cut off before the @
    text = re.sub(r"\b[\w.+-]+:[^/@\s'\"][^@\s'\"]*@", "...@", text)  # as where the scheme is missing
    return re.sub(r"(?i)((?:password|passwd|pwd|secret|token)\s*=)[^&\s'\"]+", r"\1...", text)[:80]


def listed(names: Iterable[str]) -> str:
    """Return names in quotes, with commas."""
    return ", ".join(f'"{name}"' for name in names)


def or_none(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"const": NONE}]}


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
