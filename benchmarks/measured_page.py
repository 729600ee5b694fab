"""Put what was measured into its places on a page; everything else on the page is written by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tables import Table

PLACE = re.compile(r"(<!-- measured: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
MACHINES = "machines"


def write_page(path: Path, measured: Mapping[str, Any], commands: Mapping[str, str]) -> None:
    """Write the page anew with what was measured."""
    path.write_text(filled(path.read_text(encoding="utf-8"), measured, commands), encoding="utf-8")


def filled(text: str, measured: Mapping[str, Any], commands: Mapping[str, str]) -> str:
    """Return the text of a page with each place filled.

    Args:
        text: has places `<!-- measured: NAME -->` to `<!-- end -->`; NAME is a part, or "machines".
        measured: by part, what `benchmarks/__main__.py` stores.
        commands: by part, the command that measures it.
    """

    def content(name: str) -> str:
        return machines(measured) if name == MACHINES else section(name, measured, commands)

    return PLACE.sub(lambda place: f"{place[1]}\n{content(place[2])}\n\n{place[3]}", text)


def section(name: str, measured: Mapping[str, Any], commands: Mapping[str, str]) -> str:
    """Return the command and the tables of a part."""
    if name not in measured:
        return f"Not run for this page: `{commands[name]}`."
    one = measured[name]
    form = "quick form, few repeats" if one["is_quick"] else "whole"
    took = "in several pieces" if one["minutes"] is None else f"{one['minutes']} minutes"
    told = f"`{one['command']}` ({form}; {one['day']}, {took}, load {one['load']} when it began)"
    tables = [Table(table["title"], tuple(table["heads"]), tuple(map(tuple, table["rows"]))) for table in one["tables"]]
    return "\n\n".join([told, *(table.as_markdown() for table in tables)])


def machines(measured: Mapping[str, Any]) -> str:
    """Return which machine and versions printed which parts."""
    groups: dict[str, list[str]] = {}
    for name, one in measured.items():
        groups.setdefault(f"{one['machine']}; {one['versions']}", []).append(name)
    if len(groups) == 1:
        return f"{next(iter(groups))}."
    return "\n".join(f"- {', '.join(names)}: {group}" for group, names in groups.items())
