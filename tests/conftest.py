"""What all tests share."""

import gc
import os
import sys

import hypothesis
import pytest

from tests.optuna_versions import read_versions_of_tables_once
from tests.starter import STARTER
from tests.undrawn import undrawn

# Several processes share the cores, and small models gain nothing from threads. Read when TensorFlow is imported.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tracing makes many objects that live on; to look through them again and again took a tenth of the time.
gc.set_threshold(50_000, 20, 100)

hypothesis.settings.register_profile("lrrt", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("lrrt")


read_versions_of_tables_once()


def pytest_collection_modifyitems(items):
    """Let the longest begin first: no process is to be in the middle of one when the others have ended."""
    items.sort(key=lambda item: item.get_closest_marker("lengthy") is None)


def pytest_sessionfinish():
    """Stop the process that was forked for commands, if any was."""
    STARTER.stop()


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Return what writes a module of the test's own, which the test can import, whatever others imported before."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write


@pytest.fixture(scope="module")
def blank_pictures():
    """Draw no pictures in a module."""
    with undrawn():
        yield


@pytest.fixture
def blank_pictures_here():
    """Draw no pictures in one test, if others of its module look at them."""
    with undrawn():
        yield
