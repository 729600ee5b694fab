"""Exit 0 means that the results are there: a file that is missing or damaged is noticed, and made again."""

import json
import shutil
from itertools import cycle

import keras
import numpy as np
import pytest

import pipeline
from pipeline.console.events import Note, StageStarted
from pipeline.digits_example import load_data
from pipeline.failures import CorruptState
from pipeline.results.manifest import changed_files
from pipeline.state.run_directory import RunDirectory
from tests.faults.runs import CONFIG, DAMAGE, config_of, run


def directory_of(folder):
    return RunDirectory(folder / "out", folder / "state")


def results(folder):
    return sorted(path for path in (folder / "out").rglob("*") if path.is_file())


def test_each_file_is_in_the_manifest_but_the_manifest_itself(finished):
    directory = directory_of(finished)
    listed = set(json.loads(directory.manifest.read_text())["files"])

    assert listed == {path.relative_to(directory.out).as_posix() for path in results(finished)} - {"manifest.json"}
    assert changed_files(directory) == []


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_happens_to_a_file_is_noticed(folder, damage):
    directory = directory_of(folder)
    for path in [path for path in results(folder) if path.stat().st_size]:  # one of trials trained again is empty
        content = path.read_bytes()
        DAMAGE[damage](path)
        assert changed_files(directory) == [path.relative_to(directory.out).as_posix()]
        if path.is_dir():
            path.rmdir()
        path.write_bytes(content)


def test_all_damaged_files_are_made_again_the_model_with_its_score(folder):
    before = json.loads((folder / "out/summary.json").read_text())["best"]
    kinds = ["cut off", "emptied", "replaced", "removed"]
    for number, path in enumerate(results(folder)):
        if path.name != "manifest.json":
            DAMAGE[kinds[number % len(kinds)]](path)
    events = []
    report = run(folder, events)
    model = keras.models.load_model(folder / "out/best/model.keras")
    x, y = load_data()["validation"]
    notes = [event.text for event in events if isinstance(event, Note)]

    assert report.summary["best"] == before
    assert changed_files(directory_of(folder)) == []
    assert model.evaluate(x, y, verbose=0, return_dict=True)["loss"] == pytest.approx(before["score"], rel=1e-4)
    assert any("best/model.keras is missing or is not what was written, so it is made again" in note for note in notes)
    events.clear()
    run(folder, events)
    assert [event.text for event in events if isinstance(event, StageStarted)] == [
        "nothing left to do: all 2 trials have ended"
    ]


@pytest.mark.long
def test_a_model_whose_weights_are_gone_too_is_trained_again_and_says_so(folder):
    before = json.loads((folder / "out/summary.json").read_text())["best"]
    shutil.rmtree(folder / "state/checkpoints")
    (folder / "out/best/model.keras").unlink()
    events = []
    run(folder, events)
    notes = [event.text for event in events if isinstance(event, Note)]

    assert any("are not stored, so it is trained again from its config and the seed" in note for note in notes)
    model = keras.models.load_model(folder / "out/best/model.keras")
    x, y = load_data()["validation"]
    assert model.evaluate(x, y, verbose=0, return_dict=True)["loss"] == pytest.approx(before["score"], rel=1e-4)


@pytest.mark.long
def test_damaged_weights_are_no_end_they_are_made_again(folder):
    for weights in (folder / "state/checkpoints").glob("weights-*.npz"):
        weights.write_bytes(b"torn")
    (folder / "out/best/model.keras").unlink()
    run(folder)

    assert changed_files(directory_of(folder)) == []


@pytest.mark.long
def test_a_report_of_a_run_without_its_model_does_not_make_the_loss_good(folder):
    (folder / "out/best/model.keras").unlink()
    config = config_of()
    for _ in range(2):
        with pytest.raises(CorruptState, match=r"but best/model.keras is missing or differs\. report.html is written"):
            pipeline.stage.rewrite_report(config, out=folder / "out", state=folder / "state")
    run(folder)

    assert (folder / "out/best/model.keras").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"best": {"number": 7}}'])
def test_a_report_of_a_run_with_a_damaged_summary_says_so(folder, content):
    (folder / "out/summary.json").write_bytes(content)
    config = config_of()
    with pytest.raises(CorruptState, match=r"summary.json must hold the summary of this run.*`lrrt run`"):
        pipeline.stage.rewrite_report(config, out=folder / "out", state=folder / "state")


@pytest.mark.long
def test_each_damaged_file_alone_is_made_again(folder):
    """In one of five ways each, since all are noticed in the same way, as a test above shows."""
    for path, damage in zip(results(folder), cycle(DAMAGE)):  # a cycle has no end
        DAMAGE[damage](path)
        if damage == "a folder":
            path.rmdir()
        run(folder)
        assert changed_files(directory_of(folder)) == [], (path, damage)


UNSAVED = """
import keras
from pipeline.digits_example import load_data

class Secret(keras.layers.Dense):
    def get_config(self):
        raise RuntimeError("this layer is a secret")
    def save_own_variables(self, store):
        raise RuntimeError("nor its weights")

def build_model():
    model = keras.Sequential([keras.layers.Input((64,)), Secret(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
"""


def test_of_a_model_that_cannot_be_saved_at_all_the_variables_are(tmp_path, monkeypatch):
    (tmp_path / "unsaved_task.py").write_text(UNSAVED)
    monkeypatch.syspath_prepend(tmp_path)
    task = {"task.build_model": "unsaved_task:build_model", "task.load_data": "unsaved_task:load_data"}
    config = pipeline.builtin_config({**CONFIG, **task}, environ={})
    events = []
    report = pipeline.run_stage(config, out=tmp_path / "out", state=tmp_path / "state", on_event=events.append)

    assert report.summary["best"]["model_file"] == "best/model.weights.npz"
    with np.load(tmp_path / "out/best/model.weights.npz") as arrays:
        assert [arrays[name].shape for name in arrays.files] == [(64, 10), (10,)]
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("so its variables alone are in best/model.weights.npz" in note for note in notes)
