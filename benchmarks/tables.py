"""Print what a benchmark found as a table, and record it for the page of all benchmarks, if that asked for it."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

RECORD = "BENCHMARKS_RECORD"  # names the file that tables are added to, one a line
LIBRARIES = ("tensorflow", "keras", "optuna", "keras-tuner")
NUM_DIGITS = 3

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Table:
    """What was measured: a title with the unit, the heads of the columns, and rows of as many cells, None for none."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def as_text(self) -> str:
        """Return the table for a terminal: the first column at the left, the others at the right."""
        lines = [list(map(cell_text, row)) for row in (self.heads, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]).rstrip() for cells in lines
        ]
        return "\n".join([self.title, *aligned])

    def as_markdown(self) -> str:
        """Return the table for a page, its title in bold above it."""
        rule = ["---", *["---:"] * (len(self.heads) - 1)]
        lines = [self.heads, rule, *(map(cell_text, row) for row in self.rows)]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(cells)} |" for cells in lines)])


def show(table: Table) -> None:
    """Print a table, and add it to the record if one is asked for."""
    print(f"\n{table.as_text()}", flush=True)
    if record := os.environ.get(RECORD):
        with Path(record).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(table)) + "\n")


def compare(title: str, samples: Mapping[str, Sequence[float]], *, ours: str) -> Table:
    """Compare ways by their samples, of which lower is better.

    Args:
        title: what was measured, with its unit.
        samples: by way, paired: sample i of each was taken in turn with the others'.
        ours: the way that the others are compared with; "times ours" is the median of the ratios of pairs.
    """
    rows = []
    for way, values in samples.items():
        ratios = [value / own for value, own in zip(values, samples[ours], strict=True)]
        rows.append((way, *spread(values), None if way == ours else statistics.median(ratios)))
    return Table(title, ("", *SPREAD, "times ours"), tuple(rows))


SPREAD = ("median", "least", "most", "runs")


def spread(values: Sequence[float]) -> tuple[float, float, float, int]:
    """Return the median, the least, the most and the number of the values, as `SPREAD` heads them."""
    return statistics.median(values), min(values), max(values), len(values)


def machine() -> str:
    """Say what this machine is."""
    return f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores"


def versions() -> str:
    """Say which versions a benchmark runs on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"Python {platform.python_version()}, {libraries}"


def cell_text(cell: Cell) -> str:
    """Return a cell as text: numbers with three digits, those below 1,000 without an exponent.

    >>> [cell_text(cell) for cell in (0.01234, 12.345, 12345, 1234.5, 3, None, "a")]
    ['0.0123', '12.3', '12,345', '1,234', '3', '-', 'a']
    """
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 10 ** (NUM_DIGITS - 1) else f"{cell:#.{NUM_DIGITS}g}".rstrip(".")
    return f"{cell:,}" if isinstance(cell, int) else cell
