"""What the tests of this folder share: a finished run, which they damage copies of, and runs that nothing disturbs."""

import shutil

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
