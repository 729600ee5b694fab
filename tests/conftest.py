"""What all tests share."""

import sys

import hypothesis
import pytest

hypothesis.settings.register_profile("lrrt", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("lrrt")


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Return what writes a module of the test's own, which the test can import, whatever others imported before."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write
