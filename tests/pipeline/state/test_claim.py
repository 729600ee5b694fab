"""Shows that a run directory is kept for one study, and that what differs from another's is named."""

import pytest

from pipeline.state.ownership import ForeignRun, claim
from pipeline.state.run_directory import CorruptState, RunDirectory


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path / "out", tmp_path / "state")


def test_a_claim_holds_for_the_same_fields_in_any_order(directory):
    first = claim(directory, {"task": {"build_model": "a:b"}, "seed": 0, "rates": (0.1, 1.0)})
    again = claim(directory, {"rates": [0.1, 1.0], "seed": 0, "task": {"build_model": "a:b"}})

    assert first == again
    assert len(first) == 64


def test_a_foreign_claim_is_refused_and_names_exactly_what_differs(directory):
    claim(directory, {"task": {"build_model": "a:b", "load_data": "a:c"}, "study": {"seed": 0, "old": 1}})

    with pytest.raises(ForeignRun) as caught:  # the whole text is compared below
        claim(directory, {"task": {"build_model": "a:B", "load_data": "a:c"}, "study": {"seed": 1, "new": None}})

    assert str(caught.value).splitlines()[1:-1] == [
        "  study.old: was 1, now absent",
        "  study.seed: was 0, now 1",
        '  task.build_model: was "a:b", now "a:B"',
        "  study.new: was absent, now null",
    ]
    assert "its own --out and --state" in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fields": 3}', "{}"])
def test_a_fingerprint_that_cannot_be_read_is_told(directory, content):
    directory.state.mkdir()
    directory.fingerprint.write_text(content)

    with pytest.raises(CorruptState, match="must hold the study's fingerprint"):
        claim(directory, {"seed": 0})
