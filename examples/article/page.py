"""Write what was found as one Markdown page with its pictures beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110


@dataclass(frozen=True)
class Section:
    """One claim or question of the article, and what our runs say.

    Attributes:
        heading: a few words.
        claim: what the article, or a reader of it, says or asks.
        finding: what we found, in sentences.
        table: the numbers, the first row the heads; empty if there is none.
        pictures: by file name, without its ending.
    """

    heading: str
    claim: str
    finding: str
    table: Sequence[Sequence[str]] = ()
    pictures: dict[str, Figure] = field(default_factory=dict)

    def as_markdown(self) -> str:
        """Return the section as text."""
        parts = [f"## {self.heading}", f"> {self.claim}", self.finding]
        if self.table:
            head, *rows = self.table
            parts.append("\n".join(map(_row, [head, ["---"] * len(head), *rows])))
        parts += [f"![{self.heading}]({name}.png)" for name in self.pictures]
        return "\n\n".join(parts)


def write_page(sections: Iterable[Section], folder: Path, *, heading: str, opening: str) -> Path:
    """Write the pictures as each section is made, then the page; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for section in sections:
        for name, figure in section.pictures.items():
            figure.savefig(folder / f"{name}.png", dpi=DPI)
        written.append(section.as_markdown())
        print(f"{section.heading}: {section.finding}")
    path = folder / "README.md"
    path.write_text("\n\n".join([f"# {heading}", opening, *written]) + "\n", encoding="utf-8")
    return path


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
