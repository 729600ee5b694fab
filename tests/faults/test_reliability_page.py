"""The page of promises and faults is what its tables say, and the tests that it names are there."""

import runpy
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_as_its_tables_make_it():
    made = runpy.run_path(str(ROOT / "docs/make_reliability.py"))["page"]()
    assert (ROOT / "docs/reliability.md").read_text(encoding="utf-8") == made, "run python docs/make_reliability.py"


def test_every_test_that_holds_a_promise_is_there():
    promises = tomllib.loads((ROOT / "tests/faults/promises.toml").read_text(encoding="utf-8"))["promise"]
    named = {name for promise in promises for name in promise["tests"]}

    assert all(promise["tests"] for promise in promises)
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/faults").rglob("test_*.py")}
    assert files - named == {"tests/faults/test_reliability_page.py"}
