"""Writes docs/reliability.md anew from the tables of tests/faults: python docs/make_reliability.py."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reliability.md"
TABLES = ROOT / "tests/faults"
KINDS = {"code": "Code", "data": "Data", "model": "Models", "works": "What a task may do"}
HEAD = """# Reliability

What a run promises when something goes wrong, and the tests that hold it. `make test` runs the short part of them,
`make faults` all. This page is written from the tables in `tests/faults` by `docs/make_reliability.py`.

## Promises

| promise | tests |
|---|---|
"""
FAULTS = """
## Faults of a task

Each of these tasks is run by `tests/faults/test_tasks.py`. Its run ends with this code, and its message says these
words and, where a line of the task is at fault, its file and line.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page as the tables make it."""
    promises = _read("promises.toml")["promise"]
    tasks = _read("tasks.toml")["task"]
    rows = "".join(f"| {one['text']} | {', '.join(f'`{test}`' for test in one['tests'])} |\n" for one in promises)
    parts = [HEAD, rows, FAULTS]
    for kind, title in KINDS.items():
        parts.append(f"\n### {title}\n\n| task | exit code | words |\n|---|---|---|\n")
        parts += [_row(task) for task in tasks if task["kind"] == kind]
    return "".join(parts)


def _row(task: dict[str, object]) -> str:
    return f"| {_cell(str(task['name']))} | {task['exit_code']} | {_words(str(task['words']))} |\n"


def _words(pattern: str) -> str:
    r"""Return a regular expression as a reader reads it: "file:line" for the pattern of a place, "..." for a gap."""
    text = pattern.replace(r"\(.*faulty_task\.py:\d+\)", "(file:line)").replace(r"faulty_task\.py:\d+", "file:line")
    text = re.sub(r"\\(.)", r"\1", text.replace(".*", "... "))
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _read(name: str) -> dict[str, list[dict[str, object]]]:
    return tomllib.loads((TABLES / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
