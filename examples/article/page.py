"""Write what was found as one Markdown page with its pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


def write_page(sections: Mapping[str, Callable[[], Section]], folder: Path, *, heading: str, opening: str) -> Path:
    """Make each section, and write the page with it and its pictures; return the page's path.

    Sections that a page with the same opening has are left as they are, so that a call goes on where one ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "README.md"
    top = f"# {heading}\n\n{opening}"
    written = _written(path, top)
    for name, make in sections.items():
        if name in written:
            continue
        section = make()
        for picture, figure in section.pictures.items():
            figure.savefig(folder / f"{picture}.png", dpi=DPI)
        written[name] = section.as_markdown()
        print(f"{section.heading}: {section.finding}", flush=True)
        path.write_text("\n\n".join([top, *_texts(sections, written)]) + "\n", encoding="utf-8")
    return path


def _texts(names: Iterable[str], written: Mapping[str, str]) -> Iterator[str]:
    missing = [name.replace("_", " ") for name in names if name not in written]
    if missing:
        yield f"Not made yet: {', '.join(missing)}. The same command goes on."
    yield from (f"<!-- {name} -->\n\n{written[name]}" for name in names if name in written)


def _written(path: Path, top: str) -> dict[str, str]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text.startswith(f"{top}\n"):
        return {}
    _, *pairs = re.split(r"^<!-- (\w+) -->$", text, flags=re.MULTILINE)
    return {name: section.strip() for name, section in zip(pairs[::2], pairs[1::2], strict=True)}


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
