"""Tasks that cannot be searched as they are: `prepare` refuses them, with the remedy, before anything is trained."""

import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline import StageConfig, TaskError
from pipeline.task.preparation import prepare
from pipeline.task.trainers import make_trainer

X, Y = np.random.default_rng(0).random((16, 3), np.float32), np.zeros((16, 1), "float32")
DATASET = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
STOPPER = keras.callbacks.EarlyStopping()


def build_model():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


MODEL = build_model()


@pytest.fixture
def config(monkeypatch):
    """Return the config of a task with these functions in place of good ones, and these values of a study."""

    def config(study=None, **functions):
        good = {"build_model": build_model, "load_data": lambda: {"train": (X, Y)}}
        monkeypatch.setitem(sys.modules, "my_task", SimpleNamespace(**{**good, **functions}))
        task = {name: f"my_task:{name}" for name in {**good, **functions}}
        return StageConfig.model_validate({"task": task, "study": {"batch_sizes": (4,), **(study or {})}})

    return config


def test_a_model_made_once_for_all_trials_is_refused(config):
    with pytest.raises(TaskError, match="must make a new model at each call"):
        prepare(config(build_model=lambda: MODEL))


def test_batch_sizes_of_data_that_brings_its_own_are_refused(config):
    streams = {"train": DATASET, "validation": DATASET}
    with pytest.raises(TaskError, match=r"must come with data in arrays, got \[4, 8\] for data in batches of its own"):
        prepare(config({"batch_sizes": (4, 8)}, load_data=lambda: streams))
    assert prepare(config({"batch_sizes": (8,)}, load_data=lambda: streams)).tested.num_batches(8) == 4


def test_a_callback_made_once_for_all_trials_is_refused(config):
    stage = config(callbacks=lambda: [STOPPER])
    prepared = prepare(stage)
    with pytest.raises(TaskError, match="must make new callbacks for each trial"):
        make_trainer(stage, prepared.cache, prepared.task, on_note=print)
