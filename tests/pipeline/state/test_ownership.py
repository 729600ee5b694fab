"""Shows that a run directory is taken for one study, and that what differs from another's is named."""

import pytest

from pipeline.config.tables import StageConfig
from pipeline.config.toml import EXAMPLE_TASK
from pipeline.failures import CorruptState, ForeignRun
from pipeline.state.ownership import take
from pipeline.state.run_directory import RunDirectory
from tests.pipeline.bowl_task import bowl_run


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path / "out", tmp_path / "state")


def test_ownership_holds_for_the_same_fields_in_any_order(directory):
    first = take(directory, {"task": {"build_model": "a:b"}, "seed": 0, "rates": (0.1, 1.0)})
    again = take(directory, {"rates": [0.1, 1.0], "seed": 0, "task": {"build_model": "a:b"}})

    assert first == again
    assert len(first) == 64


def test_a_foreign_study_is_refused_and_names_exactly_what_differs(directory):
    take(directory, {"task": {"build_model": "a:b", "load_data": "a:c"}, "study": {"seed": 0, "old": 1}})

    with pytest.raises(ForeignRun) as caught:  # the whole text is compared below
        take(directory, {"task": {"build_model": "a:B", "load_data": "a:c"}, "study": {"seed": 1, "new": None}})

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
        take(directory, {"seed": 0})


def test_a_folder_of_an_earlier_version_is_refused_in_words(directory):
    directory.state.mkdir()
    directory.fingerprint.write_text('{"schema_version": 1, "sha256": "0", "fields": {"seed": 0}}')

    with pytest.raises(ForeignRun, match="made by another version of lrrt, whose studies are stored otherwise"):
        take(directory, {"seed": 0})


def test_a_folder_of_an_earlier_version_that_had_no_database_is_not_called_incomplete(tmp_path):
    run = bowl_run(StageConfig.model_validate({"task": {"build_model": "a:b", "load_data": "a:c"}}), tmp_path)
    run.directory.state.mkdir()
    run.directory.fingerprint.write_text('{"schema_version": 1, "sha256": "0", "fields": {"seed": 0}}')

    with pytest.raises(ForeignRun, match="made by another version of lrrt, whose studies are stored otherwise"):
        run.check_storage()


def test_a_command_without_a_config_file_is_told_to_name_it(directory):
    take(directory, {"task": {"build_model": "my_task:build_model"}})

    with pytest.raises(ForeignRun, match=r"Without a config file, .* name the file of your config after it\.$"):
        take(directory, {"task": {"build_model": EXAMPLE_TASK["build_model"]}})


def test_keys_that_a_version_did_not_have_are_not_to_be_set_back(directory):
    take(directory, {"study": {"seed": 0}})

    with pytest.raises(ForeignRun, match=r"study.folds: was absent, now 0\nAnother version of lrrt made it") as caught:
        take(directory, {"study": {"seed": 0, "folds": 0}})

    assert "set these values back" not in str(caught.value)
