"""Knows how a study of another search space is told from one's own: by what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ForeignStudy(ValueError):
    """A study that was kept belongs to another search space."""


def check_same_space(kept: Mapping[str, Any], own: Mapping[str, Any], where: str) -> None:
    """Refuse to go on with a study that was kept of another space.

    Args:
        kept: what `SearchSpace.as_dict` of the study's space was; what it does not have is not compared.
        own: what that of one's own space is.
        where: what the message calls the study.

    Raises:
        ForeignStudy: with what differs.
    """
    told = [_difference(name, kept[name], own[name]) for name in own if name in kept and kept[name] != own[name]]
    if told:
        raise ForeignStudy(f"{where} must be of this search space, but {'; '.join(told)}. Take another name or folder.")


def _difference(name: str, before: Any, now: Any) -> str:
    """Say how one field differs; of lists of records, such as the optimizers' ranges, only those that do."""
    if not all(isinstance(one, list) and one and isinstance(one[0], dict) for one in (before, now)):
        return f"{name} was {before!r}, now {now!r}"
    gone = [_without_nulls(one) for one in before if one not in now]
    new = [_without_nulls(one) for one in now if one not in before]
    return f"{name} had {gone!r}, now {new!r}" if gone or new else f"the order of {name} was another"


def _without_nulls(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}
