"""The user's code may leave by any door, at any call: its run ends in words, or with results that are whole."""

import json
import random
import shutil
import signal
import sys

import pytest

import pipeline
from pipeline import StageConfig
from pipeline.commands.failures import exit_codes
from pipeline.results.manifest import changed_files
from pipeline.state.run_directory import RunDirectory

TASK = """
import collections, functools, pathlib
import keras, numpy as np

COUNTS = collections.Counter()
AT, LEAVES = eval(pathlib.Path("door.txt").read_text())  # not in this file, whose changes would make it another study

def door(name):
    COUNTS[name] += 1
    if (name, COUNTS[name]) == AT:
        raise LEAVES

door("module")
X = np.random.default_rng(0).random((48, 4), np.float32)
Y = X.sum(axis=1, keepdims=True)

def through(name, base):
    passed = getattr(base, name.split()[-1])

    @functools.wraps(passed)  # Keras looks at the names of its arguments
    def method(self, *args, **kwargs):
        door(name)
        return passed(self, *args, **kwargs)
    return method

class Layer(keras.layers.Dense):
    build = through("layer build", keras.layers.Dense)
    call = through("layer call", keras.layers.Dense)
    get_config = through("layer get_config", keras.layers.Dense)
    save_own_variables = through("layer save_own_variables", keras.layers.Dense)
    load_own_variables = through("layer load_own_variables", keras.layers.Dense)

    @classmethod
    def from_config(cls, config):
        door("layer from_config")
        return super().from_config(config)

class Metric(keras.metrics.MeanSquaredError):
    update_state = through("metric update_state", keras.metrics.MeanSquaredError)
    result = through("metric result", keras.metrics.MeanSquaredError)
    reset_state = through("metric reset_state", keras.metrics.MeanSquaredError)
    get_config = through("metric get_config", keras.metrics.MeanSquaredError)

class Model(keras.Model):
    train_step = through("model train_step", keras.Model)
    test_step = through("model test_step", keras.Model)

class Data(keras.utils.PyDataset):
    on_epoch_end = through("data on_epoch_end", keras.utils.PyDataset)
    def __len__(self):
        door("data len")
        return 6
    def __getitem__(self, index):
        door("data getitem")
        return X[8 * index:8 * index + 8], Y[8 * index:8 * index + 8]

class Callback(keras.callbacks.Callback):
    on_train_begin = through("callback on_train_begin", keras.callbacks.Callback)
    on_epoch_begin = through("callback on_epoch_begin", keras.callbacks.Callback)
    on_epoch_end = through("callback on_epoch_end", keras.callbacks.Callback)
    on_test_end = through("callback on_test_end", keras.callbacks.Callback)
    on_train_end = through("callback on_train_end", keras.callbacks.Callback)

def loss(y, p):
    door("loss")
    return keras.ops.mean((y - p) ** 2, axis=-1)

def build_model(hp):
    door("build_model")
    inputs = keras.Input((4,))
    model = Model(inputs, keras.layers.Dense(1)(Layer(hp.Int("units", 2, 3))(inputs)))
    model.compile("sgd", loss, metrics=[Metric()])
    return model

def load_data():
    door("load_data")
    return {"train": Data(), "validation": Data(), "test": Data()}

def callbacks():
    door("callbacks")
    return [Callback()]
"""
CONFIG = {
    "task": {
        "build_model": "doors_task:build_model",
        "load_data": "doors_task:load_data",
        "callbacks": "doors_task:callbacks",
    },
    "range_test": {"optimizers": ["sgd"], "num_steps": 30, "repeats": 1},
    "study": {
        "num_trials": 2,
        "epochs": 2,
        "batch_sizes": [8],
        "schedules": ["fixed"],
        "top_retrained": 1,
        "first": [{"lr": 0.05}, {"lr": 0.1}],  # of two trials that cannot diverge one is left if the other fails
    },
}
DOORS = [
    *("module", "load_data", "build_model", "callbacks", "loss", "data len", "data getitem", "data on_epoch_end"),
    *("layer build", "layer call", "layer get_config", "layer save_own_variables", "layer load_own_variables"),
    *("layer from_config", "metric update_state", "metric result", "metric reset_state", "metric get_config"),
    *("model train_step", "model test_step", "callback on_train_begin", "callback on_epoch_begin"),
    *("callback on_epoch_end", "callback on_test_end", "callback on_train_end"),
]
LEAVES = [
    "SystemExit(0)",
    "KeyboardInterrupt()",
    "GeneratorExit()",
    "RuntimeError('mine')",
    "OSError(5, 'mine')",
    "type('Odd', (BaseException,), {})()",
]
pytestmark = pytest.mark.usefixtures("blank_pictures")
WORDS = {3, 4, 65}  # codes of runs that end for a fault of the task


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a stage whose task leaves at a call of a door; return the exit code, the message and the counts."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, lambda number, frame: None)  # as in the command, Python's own is not set

    def run(at=None, leaves="None"):
        (tmp_path / "doors_task.py").write_text(TASK)
        (tmp_path / "door.txt").write_text(f"{at!r}, {leaves}")
        sys.modules.pop("doors_task", None)
        code = 0
        try:
            with exit_codes(verbose=False):
                pipeline.run_stage(StageConfig.model_validate(CONFIG))
        except BaseException as ended:
            code = getattr(ended, "exit_code", repr(ended))
        return code, capsys.readouterr().err, getattr(sys.modules.get("doors_task"), "COUNTS", {})

    yield run
    signal.signal(signal.SIGINT, before)
    sys.modules.pop("doors_task", None)


@pytest.fixture(scope="module")
def counts():
    """How often each door was passed in a run that nothing disturbed; filled by the first test."""
    return {}


def is_whole(folder):
    summary = json.loads((folder / "out/summary.json").read_text())
    return summary["best"]["score"] > 0 and changed_files(RunDirectory(folder / "out", folder / "state")) == []


def moments(number):
    """Return the calls of a door that are tried: the first, one in the middle, the last."""
    return sorted({1, (number + 1) // 2, number})


@pytest.mark.long
@pytest.mark.parametrize("door", DOORS)
def test_whatever_leaves_by_a_door_is_no_success_without_results_and_the_next_run_goes_on(run, counts, tmp_path, door):
    if not counts:
        code, told, passed = run()
        assert (code, told) == (0, ""), told
        assert set(passed) == set(DOORS)
        counts.update(passed)
    leaves = LEAVES[:]
    random.Random(door).shuffle(leaves)
    for moment, how in zip(moments(counts[door]), leaves, strict=False):
        forget(tmp_path)
        code, told, _ = run((door, moment), how)
        case = f"{how} at call {moment} of {door}: {code} {told[-500:]}"
        assert "Traceback" not in told, case
        assert code in WORDS or (code == 0 and is_whole(tmp_path)), case
    code, told, _ = run()
    assert code == 0, f"after {case}: {code} {told[-500:]}"
    assert is_whole(tmp_path), case


def forget(folder):
    """Remove a run."""
    for name in ("out", "state"):
        shutil.rmtree(folder / name, ignore_errors=True)
