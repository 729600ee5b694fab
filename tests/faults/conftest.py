"""What the tests of this folder share: a finished run, which they damage copies of, and runs that nothing disturbs."""

import shutil
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.commands import Undisturbed
from tests.faults.runs import run
from tests.undrawn import undrawn


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    with undrawn():
        run(folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path, blank_pictures):
    """A copy of a finished run."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Return the trials and the seconds of an undisturbed run of an engine."""
    return Undisturbed(lambda: tmp_path_factory.mktemp("whole"))


def pytest_terminal_summary(terminalreporter):
    """Print what the tests say of each promise, where this folder's are asked for by name, as `make faults` does."""
    counts = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            counts.setdefault(report.nodeid.split("::")[0], Counter())[outcome] += 1
    terminalreporter.section("promises")
    for promise in tomllib.loads(Path(__file__).with_name("promises.toml").read_text(encoding="utf-8"))["promise"]:
        if any(name in counts for name in promise["tests"]):
            terminalreporter.write_line(promise["text"])
        for name in (name for name in promise["tests"] if name in counts):
            results = ", ".join(f"{number} {outcome}" for outcome, number in counts[name].items())
            terminalreporter.write_line(f"    {name}: {results}")
