"""What is true of a whole stage: its files, its resumption, its refusals; on the built-in example, or on a bowl."""

import csv
import hashlib
import json
import re
import resource
import shutil
import subprocess
import sys

import jsonschema
import keras
import numpy as np
import pytest

import pipeline
from pipeline.config.toml import load_config
from pipeline.console.events import Note, StageStarted, TrialDone
from pipeline.digits_example import load_data
from pipeline.failures import CorruptState, ForeignRun, TaskError, exit_code
from pipeline.results.schemas import schema_of
from pipeline.stage import go_on
from pipeline.task.loading import load_task
from tests.pipeline.bowl_task import bowl_run

pytestmark = pytest.mark.usefixtures("blank_pictures")

SMALL = {"study.num_trials": 3, "study.epochs": 3, "range_test.num_steps": 60, "range_test.repeats": 1}


def small(**overrides):
    return pipeline.builtin_config({**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}})


def brief(**overrides):
    """One optimizer and nothing trained again: for what does not depend on them."""
    return small(**{"range_test__optimizers": ["sgd"], "study__top_retrained": 0, **overrides})


def run(config, folder, events=None):
    collect = (lambda event: None) if events is None else events.append
    return pipeline.run_stage(config, out=folder / "out", state=folder / "state", on_event=collect)


def run_bowl(config, folder, events=None):
    """Run a stage without Keras, for what does not depend on what is trained."""
    collect = (lambda event: None) if events is None else events.append
    return go_on(bowl_run(config, folder, on_event=collect))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(small(), folder)


@pytest.fixture(scope="module")
def finished_bowl(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bowl")
    return folder, run_bowl(brief(), folder)


def test_a_stage_writes_every_file(finished):
    folder, _ = finished
    files = {path.relative_to(folder / "out").as_posix() for path in (folder / "out").rglob("*") if path.is_file()}

    assert files == {
        "summary.json",
        "manifest.json",
        "config.resolved.toml",
        "space.json",
        "trials.csv",
        "trials.jsonl",
        "trials_retrained.jsonl",
        "range_test/bounds.json",
        "range_test/curves.csv",
        "range_test/loss.png",
        "range_test/loss_delta.png",
        "best/model.keras",
        "best/config.json",
        "best/losses.png",
        "report.html",
        *(f"plots/{name}.svg" for name in ("narrowing", "history", "optimizers", "slices", "parallel")),
    }


def test_the_manifest_tells_each_file_s_digest(finished):
    folder, _ = finished
    for name, told in json.loads((folder / "out/manifest.json").read_text())["files"].items():
        content = (folder / "out" / name).read_bytes()

        assert told == {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_best_model_loads_with_plain_keras_and_reaches_the_reported_losses(finished):
    folder, report = finished
    program = """
import sys, keras
from pipeline.digits_example import load_data
data = load_data()
model = keras.models.load_model(sys.argv[1])
print([model.evaluate(*data[part], verbose=0, return_dict=True)["loss"] for part in ("validation", "test")])
"""
    model = folder / "out/best/model.keras"
    shown = subprocess.run([sys.executable, "-c", program, model], capture_output=True, text=True, check=True)
    validation_loss, test_loss = json.loads(shown.stdout.splitlines()[-1])

    assert validation_loss == pytest.approx(report.best.score, rel=1e-5)
    assert test_loss == pytest.approx(report.summary["best"]["test"]["loss"], rel=1e-5)


def test_range_tests_alone_are_those_of_a_whole_run(finished, tmp_path):
    folder, _ = finished
    pipeline.run_range_tests(small(), out=tmp_path / "out", state=tmp_path / "state")

    for name in ("bounds.json", "curves.csv"):
        assert (tmp_path / "out/range_test" / name).read_bytes() == (folder / "out/range_test" / name).read_bytes()


def test_the_summary_agrees_with_the_tables(finished):
    folder, report = finished
    summary = json.loads((folder / "out/summary.json").read_text())
    rows = list(csv.DictReader((folder / "out/trials.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (folder / "out/trials.jsonl").read_text().splitlines()]

    assert summary == report.summary
    assert summary["num_trials"] == {"ended": 3, "completed": 3}
    assert [int(row["number"]) for row in rows] == [line["number"] for line in lines] == [0, 1, 2]
    assert summary["best"]["number"] == summary["retrained"][0]["number"] == report.retrained[0].trial.number
    assert [one["mean_score"] for one in summary["retrained"]] == sorted(
        one["mean_score"] for one in summary["retrained"]
    )
    assert len((folder / "out/trials_retrained.jsonl").read_text().splitlines()) == 9
    jsonschema.Draft202012Validator(schema_of("summary")).validate(summary)
    assert all(len(line["val_losses"]) == 3 for line in lines)


def test_bounds_on_disk_are_the_ones_searched(finished):
    folder, _ = finished
    bounds = json.loads((folder / "out/range_test/bounds.json").read_text())["bounds"]
    for line in (folder / "out/trials.jsonl").read_text().splitlines():
        parameters = json.loads(line)["parameters"]
        found = bounds[parameters["optimizer"]]

        assert found["low"] <= parameters[f"lr__{parameters['optimizer']}"] <= found["high"]


def test_the_resolved_config_repeats_the_run(finished):
    folder, _ = finished

    assert load_config(folder / "out/config.resolved.toml", environ={}) == small()


def test_the_same_run_again_does_nothing_new(finished):
    folder, report = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}
    events = []
    again = run(small(), folder, events)

    assert [event.text for event in events] == ["nothing left to do: all 3 trials have ended"]
    assert again == report
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")} == before


def test_results_that_were_removed_are_written_again_from_the_state(finished_bowl):
    folder, report = finished_bowl
    (folder / "out/best/model.keras").unlink()
    events = []
    again = run_bowl(brief(), folder, events)

    assert not [event for event in events if isinstance(event, TrialDone)]
    assert not [event.text for event in events if isinstance(event, Note) and "trained again" in event.text]
    assert again.summary == report.summary
    assert (folder / "out/best/model.keras").exists()


def test_files_that_are_not_lrrt_s_are_left_alone_and_not_missed(finished_bowl):
    folder, report = finished_bowl
    own = folder / "out/best/notes of mine.txt"
    own.write_text("mine")
    assert run_bowl(brief(), folder) == report

    (folder / "out/summary.json").unlink()
    run_bowl(brief(), folder)
    assert own.read_text() == "mine"
    assert "mine" not in (folder / "out/manifest.json").read_text()
    own.unlink()
    events = []
    run_bowl(brief(), folder, events)
    assert len(events) == 1


def test_a_disk_that_fills_up_ends_the_run_and_a_later_one_goes_on(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # less than the study's file takes
    try:
        with pytest.raises(Exception, match=r"File too large|disk I/O error") as caught:  # its exit code is compared
            run_bowl(brief(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert exit_code(caught.value) == 74
    assert not list(tmp_path.rglob("*.partial*"))

    assert len(run_bowl(brief(), tmp_path).trials) == 3


def test_raising_the_number_of_trials_goes_on_with_a_finished_study(tmp_path):
    first = run_bowl(brief(study__num_trials=2), tmp_path)
    events = []
    more = run_bowl(brief(study__num_trials=4), tmp_path, events)

    assert more.trials[:2] == first.trials
    assert [event.result.number for event in events if isinstance(event, TrialDone)] == [2, 3]
    assert isinstance(events[0], StageStarted)
    assert events[0].text == "resume: range tests are done, 2 of 4 trials have ended"


def test_another_study_in_the_same_folders_is_refused_with_what_differs(finished):
    folder, _ = finished
    with pytest.raises(ForeignRun, match=r"study.epochs: was 3, now 5"):
        run(small(study__epochs=5), folder)


NOTHING_LEFT = """
import sys
from pipeline import builtin_config, run_stage
report = run_stage(builtin_config({overrides!r}), out=sys.argv[1], state=sys.argv[2])
heavy = ["keras", "tensorflow", "matplotlib", "sklearn"]
print(report.summary["status"], [name for name in heavy if name in sys.modules])
"""


def test_where_nothing_is_left_to_do_keras_is_not_imported(finished):
    folder, _ = finished
    program = NOTHING_LEFT.format(overrides=SMALL)
    shown = subprocess.run(
        [sys.executable, "-c", program, folder / "out", folder / "state"], capture_output=True, text=True, check=True
    )

    assert (shown.stdout, shown.stderr) == ("done []\n", "")


def _task_of(tmp_path, monkeypatch, name, code):
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    return brief(task__build_model=f"{name}:build_model", task__load_data=f"{name}:load_data")


UNSAVABLE = """
import keras
from pipeline.digits_example import load_data

class Own(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units, activation="softmax")
    def call(self, inputs):
        return self.dense(inputs)
    def get_config(self):
        raise NotImplementedError("my layer keeps its config to itself")

def build_model():
    model = keras.Sequential([keras.layers.Input((64,)), Own(10)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
"""


def test_of_a_model_that_cannot_be_saved_the_weights_are_kept_and_the_study_s_result(tmp_path, monkeypatch):
    config = _task_of(tmp_path, monkeypatch, "unsavable_task", UNSAVABLE)
    run(config, tmp_path)
    (tmp_path / "out/best/model.keras").write_bytes(b"of an earlier best trial")
    (tmp_path / "out/summary.json").unlink()
    events = []
    report = run(config, tmp_path, events)
    import unsavable_task

    model = unsavable_task.build_model()
    model.load_weights(tmp_path / "out/best/model.weights.h5")
    loss = model.evaluate(*load_data()["validation"], verbose=0)

    assert report.summary["best"]["model_file"] == "best/model.weights.h5"
    assert not (tmp_path / "out/best/model.keras").exists()
    assert loss == pytest.approx(report.best.score, rel=1e-5)
    notes = [event.text for event in events if isinstance(event, Note)]
    (note,) = [note for note in notes if "cannot be saved whole" in note]
    assert re.search(r"\(NotImplementedError: my layer .*, so its weights alone are in best/model.weights.h5", note)


def test_a_disk_that_is_full_is_not_taken_for_a_model_that_cannot_be_saved(finished, tmp_path, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    folder, _ = finished
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "out/best/model.keras").unlink()
    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run(small(), tmp_path)

    assert not (tmp_path / "out/summary.json").exists()


def test_torn_state_is_told_with_its_file(finished_bowl, tmp_path):
    folder, _ = finished_bowl
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    torn = tmp_path / "state/task.json"
    torn.write_bytes(torn.read_bytes()[:100])
    (tmp_path / "out/summary.json").unlink()
    with pytest.raises(CorruptState, match=f"{torn.name} must hold"):
        run_bowl(brief(), tmp_path)


def test_without_validation_data_a_fifth_of_the_training_data_is_held_out(tmp_path, monkeypatch):
    (tmp_path / "held_task.py").write_text(
        "import numpy as np\n"
        "def build_model(): ...\n"
        "def load_data(): return {'train': (np.arange(100.0)[:, None], np.arange(100))}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = load_task("held_task:build_model", "held_task:load_data")
    train, validation = task.train[1], task.validation[1]

    assert (len(train), len(validation)) == (80, 20)
    assert sorted([*train, *validation]) == list(range(100))
    np.testing.assert_array_equal(task.train[0][:, 0], train)


TASKS = """
import keras, numpy as np
from pipeline.digits_example import build_model, load_data

def uncompiled():
    return keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10)])

def raising():
    raise ZeroDivisionError("my own mistake")

def broken(change):
    data = load_data()
    x, y = data["train"]
    return {**data, "train": change(x.copy(), y.copy())}

empty = lambda: broken(lambda x, y: (x[:0], y[:0]))
nan = lambda: broken(lambda x, y: (np.where(x > 0.9, np.nan, x), y))
labels = lambda: broken(lambda x, y: (x, y + 1))
lengths = lambda: broken(lambda x, y: (x, y[1:]))
few = lambda: broken(lambda x, y: (x[:9], y[:9]))
no_train = lambda: {"training": 1}
number = 3
"""


@pytest.mark.parametrize(
    ("build_model", "data", "message"),
    [
        ("uncompiled", "load_data", "The model must be compiled"),
        ("raising", "load_data", "ZeroDivisionError: my own mistake"),
        ("build_model", "raising", "bad_tasks:raising must return the task's data, it raised ZeroDivisionError"),
        ("build_model", "empty", "data must not be empty, got 0 samples"),
        ("build_model", "nan", "data must be finite, got NaN or infinity in"),
        ("build_model", "labels", r"labels of data must lie in 0\.\.9, .* got labels from 1 to 10"),
        ("build_model", "lengths", "must have one length, got 1077, 1076 samples"),
        ("build_model", "few", "`batch_size` must not exceed the samples of data, got batch_size=32 for 9 samples"),
        ("build_model", "no_train", "must return a dict with the key \"train\".*got 'training'"),
        ("build_model", "missing", "must name a function, 'bad_tasks' has no 'missing'"),
        ("build_model", "number", "must name a function"),
    ],
)
def test_a_task_that_breaks_its_contract_is_refused_before_anything_is_written(
    build_model, data, message, tmp_path, monkeypatch
):
    (tmp_path / "bad_tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_tasks", raising=False)
    config = small(task__build_model=f"bad_tasks:{build_model}", task__load_data=f"bad_tasks:{data}")
    with pytest.raises(TaskError, match=message):
        run(config, tmp_path)

    assert list((tmp_path / "out").rglob("*")) == []


def test_a_module_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TaskError, match=r"nowhere:build_model must be importable.*No module named 'nowhere'"):
        run(small(task__build_model="nowhere:build_model"), tmp_path)


def test_losses_that_are_never_finite_leave_no_usable_range(tmp_path, monkeypatch):
    code = (
        "import keras\n"
        "from pipeline.digits_example import load_data\n"
        "def build_model():\n"
        "    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10)])\n"
        "    model.compile('sgd', lambda y, p: keras.ops.log(-keras.ops.mean(p ** 2)))\n"
        "    return model\n"
    )
    config = _task_of(tmp_path, monkeypatch, "nan_task", code)
    with pytest.raises(pipeline.NoUsableRange, match="sgd: the loss was not finite before it had fallen"):
        run(config, tmp_path)


def test_the_example_s_data_is_scikit_learn_s():
    parts = load_data()

    assert [len(parts[name][0]) for name in ("train", "validation", "test")] == [1077, 360, 360]
    assert keras.ops.shape(parts["train"][0])[1:] == (64,)
