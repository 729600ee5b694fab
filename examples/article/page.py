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
ANSWER = re.compile(r"^## (.*)\n\n> .*\n\n\*\*(.*)\*\*$", re.MULTILINE)
END = "<!-- end -->"


@dataclass(frozen=True)
class Section:
    """One claim or question of the article, and what our runs say.

    Attributes:
        heading: a few words.
        claim: what the article, or a reader of it, says or asks.
        answer: ours, one sentence with its numbers; the top of the page repeats it.
        finding: what else is to be said.
        table: the numbers, the first row the heads; empty if there is none.
        pictures: by file name, without its ending.
    """

    heading: str
    claim: str
    answer: str
    finding: str = ""
    table: Sequence[Sequence[str]] = ()
    pictures: dict[str, Figure] = field(default_factory=dict)

    def as_markdown(self) -> str:
        """Return the section as text."""
        parts = [
            f"## {self.heading}",
            f"> {self.claim}",
            f"**{self.answer}**",
            *([self.finding] if self.finding else []),
        ]
        if self.table:
            head, *rows = self.table
            parts.append("\n".join(map(_row, [head, ["---"] * len(head), *rows])))
        parts += [f"![{self.heading}]({name}.png)" for name in self.pictures]
        return "\n\n".join(parts)


def write_page(
    sections: Mapping[str, Callable[[], Section]],
    folder: Path,
    *,
    heading: str,
    opening: str,
    closing: Callable[[], str] = str,
) -> Path:
    """Make each section, and write the page with it and its pictures; return the page's path.

    Sections that a page with the same opening has are left as they are, so that a call goes on where one ended. What
    `closing` returns after a section is made ends the page.
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
        print(f"{section.heading}: {section.answer}", flush=True)
        texts = [top, *_texts(sections, written), END, closing()]
        path.write_text("\n\n".join(filter(None, texts)) + "\n", encoding="utf-8")
    return path


def _texts(names: Iterable[str], written: Mapping[str, str]) -> Iterator[str]:
    missing = [name.replace("_", " ") for name in names if name not in written]
    if missing:
        yield f"Not made yet: {', '.join(missing)}. The same command goes on."
    shown = [ANSWER.search(written[name]) for name in names if name in written]
    yield "\n".join(f"- [{one[1]}](#{_anchor(one[1])}) {one[2]}" for one in shown if one)
    yield from (f"<!-- {name} -->\n\n{written[name]}" for name in names if name in written)


def _written(path: Path, top: str) -> dict[str, str]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text.startswith(f"{top}\n"):
        return {}
    _, *pairs = re.split(r"^<!-- (\w+) -->$", text, flags=re.MULTILINE)
    return {name: section.strip() for name, section in zip(pairs[::2], pairs[1::2], strict=True)}


def _anchor(heading: str) -> str:
    """Return the name of a heading in links, as GitHub and MkDocs make it."""
    return re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
