"""What the tests of pipeline share: runs of the command on a bowl, for what does not depend on what is trained."""

from dataclasses import replace

import pytest

from pipeline.run import Run
from tests.pipeline.bowl_task import prepare_bowl


@pytest.fixture
def on_bowl(monkeypatch):
    """Let every run that is made in this process train the bowl, whatever its config names."""
    make = Run.make
    monkeypatch.setattr(Run, "make", lambda *values, **options: replace(make(*values, **options), prepare=prepare_bowl))
