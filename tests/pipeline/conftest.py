"""What the tests of pipeline share: runs of the command on a bowl, for what does not depend on what is trained."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.run import Run
from pipeline.state import run_lock
from tests.pipeline.bowl_task import prepare_bowl


@pytest.fixture
def lrrt(tmp_path, monkeypatch):
    """Run a command in this process, in an empty folder; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def lrrt(*arguments):
        ended = CliRunner().invoke(app, list(arguments), prog_name="lrrt")
        return ended.exit_code, ended.stdout, ended.stderr

    return lrrt


@pytest.fixture
def on_bowl(monkeypatch):
    """Let every run that is made in this process train the bowl, whatever its config names."""
    make = Run.make
    monkeypatch.setattr(Run, "make", lambda *values, **options: replace(make(*values, **options), prepare=prepare_bowl))


@pytest.fixture
def impatient(monkeypatch):
    """Have no run wait long for the end of another."""
    monkeypatch.setattr(run_lock, "PATIENCE_S", 0.1)
