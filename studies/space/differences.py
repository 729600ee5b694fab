"""Refuse a stored study of another search space, with the fields that differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ForeignStudy(ValueError):
    """A stored study belongs to another search space."""


def check_same_space(stored: Mapping[str, Any], current: Mapping[str, Any], where: str) -> None:
    """Refuse to continue a stored study of another space.

    Args:
        stored: the stored `SearchSpace.as_dict` of the study's space; a field that it lacks is not compared.
        current: `SearchSpace.as_dict` of the space to search now.
        where: the study's name in the message.

    Raises:
        ForeignStudy: if a field differs.
    """
    changes = [
        _difference(name, stored[name], current[name])
        for name in current
        if name in stored and stored[name] != current[name]
    ]
    if changes:
        raise ForeignStudy(
            f"{where} must be of this search space, but {'; '.join(changes)}. Take another name or folder."
        )


def _difference(name: str, before: Any, now: Any) -> str:
    """Say how one field differs. A list of records, such as the optimizers' ranges, shows only the changed ones."""
    if not all(isinstance(one, list) and one and isinstance(one[0], dict) for one in (before, now)):
        return f"{name} was {before!r}, now {now!r}"
    gone = [_without_nulls(one) for one in before if one not in now]
    new = [_without_nulls(one) for one in now if one not in before]
    return f"{name} had {gone!r}, now {new!r}" if gone or new else f"the order of {name} was another"


def _without_nulls(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}
