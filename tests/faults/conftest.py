"""A finished run, which the tests of this folder damage copies of."""

import shutil

import pytest

from tests.faults.runs import run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of a finished run."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"
