"""Damaged state speaks: one answer of every command, with the file and the remedy; and one folder, one study."""

import csv
import io
import os
import shutil

import pytest

import lrrt
import pipeline
from pipeline.failures import CorruptState, ForeignRun, RunLocked, exit_code
from pipeline.report.status import read_status
from pipeline.results.tables import trials_csv
from pipeline.stage import rewrite_report
from pipeline.state.run_directory import RunDirectory
from studies import TrialConfig, TrialResult, TrialState
from tests.faults.runs import CONFIG, DAMAGE, config_of, run


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


COMMANDS = {"run": pipeline.run_stage, "search": pipeline.run_search, "status": read_status, "report": rewrite_report}
DAMAGE_OF_STATE = {**DAMAGE, "a link to itself": loop}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", DAMAGE_OF_STATE)
@pytest.mark.long
def test_a_lost_or_damaged_study_has_one_answer_and_no_new_search_begins(folder, damage, command):
    database = folder / "state/study.db"
    for beside in folder.glob("state/study.db-*"):
        beside.unlink()
    DAMAGE_OF_STATE[damage](database)
    with pytest.raises(CorruptState, match=r"state/study.db must .*, but it is .*Put it back from a copy, or"):
        COMMANDS[command](config_of(), out=folder / "out", state=folder / "state")


@pytest.mark.parametrize("name", ["fingerprint.json", "task.json", "identity.json"])
@pytest.mark.parametrize("damage", ["cut off", "emptied", "replaced", "a folder"])
def test_a_damaged_file_of_the_state_is_never_a_fault_of_ours(folder, name, damage):
    DAMAGE_OF_STATE[damage](folder / "state" / name)
    for command in (rewrite_report, read_status):
        ended = None
        try:
            command(config_of(), out=folder / "out", state=folder / "state")
        except Exception as error:
            ended = error
        assert ended is None or (exit_code(ended) in (73, 74) and name in str(ended)), repr(ended)


@pytest.mark.parametrize("name", ["summary.json", "manifest.json", "best/model.keras", "report.html", "trials.csv"])
def test_a_folder_in_place_of_a_result_is_named_and_not_removed(folder, name):
    path = folder / "out" / name
    path.unlink()
    (path / "mine").mkdir(parents=True)
    with pytest.raises(CorruptState, match=rf"{name} will be written as a file, but it is a folder\. Remove it or"):
        run(folder)

    assert (path / "mine").exists()


def test_a_search_that_is_stopped_before_it_has_made_its_study_goes_on(finished, tmp_path, monkeypatch, blank_pictures):
    bounds = lrrt.RangeTestResult.load(finished / "out/range_test/bounds.json")

    def search():
        return pipeline.run_search(config_of(), bounds=bounds, out=tmp_path / "out", state=tmp_path / "state")

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.steps.opening.open_studies", stop)
        with pytest.raises(KeyboardInterrupt):
            search()

    assert len(search().trials) == CONFIG["study.num_trials"]


@pytest.mark.parametrize("name", ["out/plots", "out/best", "out/range_test", "state/checkpoints", "state/keras_tuner"])
def test_a_file_in_place_of_a_folder_is_refused_before_anything_is_trained(tmp_path, name):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    events = []
    with pytest.raises(CorruptState, match=rf"{name} must be a folder, but it is a file\. Remove it or move it away"):
        run(tmp_path, events)

    assert events == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["out/summary.json", "out/manifest.json", "state/task.json", "state/lock_holder.json"])
def test_no_command_waits_for_a_pipe_in_place_of_a_file(tmp_path, name, command):
    (tmp_path / name).parent.mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises(CorruptState, match=rf"{name} must be a file, but it is a pipe\. Remove it or move it away"):
        COMMANDS[command](config_of(), out=tmp_path / "out", state=tmp_path / "state")


def test_a_folder_of_results_is_of_one_study(folder, tmp_path):
    """The other study has a state, so that its own results may be written over."""
    shutil.copytree(folder / "state", tmp_path / "other")
    (tmp_path / "other/identity.json").unlink()
    before = (folder / "out/summary.json").read_bytes()
    for command in (pipeline.run_stage, rewrite_report):
        with pytest.raises(ForeignRun, match=r"are of a run with another --state or another storage\."):
            command(config_of(), out=folder / "out", state=tmp_path / "other")

    assert (folder / "out/summary.json").read_bytes() == before
    shutil.move(folder, tmp_path / "moved")
    run(tmp_path / "moved")


def test_two_runs_at_once_cannot_share_a_folder_of_results(tmp_path):
    first, second = (RunDirectory(tmp_path / "out", tmp_path / state) for state in ("a", "b"))
    with first.locked(), pytest.raises(RunLocked, match=r"out is in use by another run, which has another --state"):
        second.locked().__enter__()
    with second.locked():
        assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "@SUM(1+1)", "+1", "-1", "\t=1", "a\x1b[2Jb", "a\x9b2J", "two\nlines"]
)
def test_no_text_in_a_table_is_computed_or_moves_a_cursor(text):
    config = TrialConfig("sgd", "fixed", 1e-2, 8, own=((text, text),))
    result = TrialResult(0, config, TrialState.FAILED, error=text)
    written = trials_csv([result])
    names, row = csv.reader(io.StringIO(written))

    assert all(letter.isprintable() or letter == "\n" for letter in written)
    for cell in (names[-1], row[-1], row[names.index("error")]):
        assert cell[0] in "'?a" or cell == "two?lines"
