"""Shows that hyperparameters of the data are searched, and that each trial and fold has the data of its values."""

import keras
import numpy as np
import pytest

import pipeline
from pipeline.data.data_values import DataOfValues
from pipeline.data.loaded_task import Task
from pipeline.failures import TaskError
from pipeline.steps.given_bounds import bounds_by_hand
from pipeline.task.preparation import prepare

pytestmark = pytest.mark.usefixtures("blank_pictures")

TASKS = """
import keras, numpy as np
LOADED = []

def load_data(hp):
    window, label = hp.Choice("window", [2, 3]), hp.Choice("label", ["right", "wrong"])
    LOADED.append((window, label))
    x = np.zeros((100, window))
    return {
        "train": (x, np.full(100, 1.0 if label == "right" else 3.0)),
        "validation": (x, np.ones(100)),
        "test": (x, np.ones(100)),
    }

def build_model(hp, windows=(2, 3)):
    window, units = hp.Choice("window", list(windows)), hp.Int("units", 1, 2)
    model = keras.Sequential([keras.layers.Input((window,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model

def other_window(hp):
    return build_model(hp, (2, 4))

def reserved(hp):
    hp.Int("batch_size", 1, 2)
    return load_data(hp)

def raising(hp):
    hp.Int("window", 1, 2)
    raise OSError("no such disk")
"""


@pytest.fixture
def config(write_module):
    write_module("value_tasks", TASKS)

    def config(model="build_model", data="load_data", **study):
        own = {
            "task.build_model": f"value_tasks:{model}",
            "task.load_data": f"value_tasks:{data}",
            "range_test.optimizers": ["sgd"],
            "study.schedules": ["fixed"],
            "study.epochs": 4,
            "study.num_trials": 6,
            "study.batch_sizes": [50],
            "study.top_retrained": 0,
            "study.sampler": "random",
        }
        return pipeline.builtin_config({**own, **{f"study.{key}": value for key, value in study.items()}}, environ={})

    return config


def run(config, folder):
    bounds = bounds_by_hand(config, {"sgd": (0.1, 0.2)})
    return pipeline.run_search(config, bounds=bounds, out=folder / "out", state=folder / "state")


@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
@pytest.mark.long
def test_hyperparameters_of_the_data_are_searched_alone_or_together_with_the_models(engine, config, tmp_path):
    """A model that learns the wrong label 3 is 2 off everywhere."""
    further = {"top_retrained": 1, "retrain_seeds": 1, "folds": 2, "refit": True} if engine == "optuna" else {}
    report = run(config(engine=engine, **further), tmp_path)
    import value_tasks

    values = {trial.number: dict(trial.config.own) for trial in report.trials}
    assert {one["label"] for one in values.values()} == {"right", "wrong"}
    assert {one["window"] for one in values.values()} == {2, 3}
    for trial in report.trials:
        is_right = values[trial.number]["label"] == "right"
        assert trial.val_losses[-1] == pytest.approx(0.0 if is_right else 4.0, abs=0.2)
    best = values[report.best.number]
    assert best["label"] == "right"
    assert keras.saving.load_model(tmp_path / "out/best/model.keras").input_shape == (None, best["window"])
    assert report.summary["best"]["test"]["loss"] < 0.1
    distinct = {(one["window"], one["label"]) for one in values.values()}
    assert set(value_tasks.LOADED) == distinct | {(2, "right")}
    assert len(value_tasks.LOADED) == len(distinct | {(2, "right")})
    assert "the data depend on window, label" in report.summary["data"]["notes"][-1]
    if further:
        assert report.summary["best"]["refitted"]["test"]["loss"] < 0.1
        assert [score < 0.1 for score in report.retrained[0].folds.ended] == [True, True]


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("other_window", "load_data", "must be declared alike in both, got 'window'"),
        ("build_model", "reserved", "must have other names than lrrt's own, got 'batch_size'"),
        ("build_model", "raising", "value_tasks:raising must return the task's data, it raised OSError: no such disk"),
    ],
)
def test_hyperparameters_that_cannot_be_searched_are_refused(model, data, message, config):
    with pytest.raises(TaskError, match=message):
        prepare(config(model, data))


def test_the_data_of_the_defaults_are_loaded_once_for_all_that_needs_them(config):
    prepared = prepare(config())
    import value_tasks

    task = prepared.task.for_values({"window": 2, "label": "right", "units": 1}.items())

    assert value_tasks.LOADED == [(2, "right")]
    assert task.train[0] is prepared.task.train[0]


def test_data_are_kept_as_far_as_memory_allows():
    loaded = []

    def load(values):
        loaded.append(values["window"])
        return Task(None, np.zeros(100, np.uint8), np.zeros(0))

    task_of = DataOfValues(load, ("window",), max_bytes=250)
    for window in (1, 2, 1, 2, 3, 2, 1):
        task_of({"window": window, "units": len(loaded)})

    assert loaded == [1, 2, 3, 1]
