"""Forms of data that a stage takes from `load_data` as `fit` would: text, endless datasets, test data in lists."""

import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeline
from pipeline.config.toml import load_config

L = keras.layers
TEXTS = [text for text in ("a good film", "a bad film", "so good", "so bad") for _ in range(4)]
LABELS = [int("good" in text) for text in TEXTS]
CONFIG = """
[task]
build_model = "a_task_of_forms:build_model"
load_data = "a_task_of_forms:load_data"
steps_per_epoch = {steps}
[range_test]
optimizers = ["adam"]
num_steps = 40
repeats = 1
start_lr = 1e-4
[study]
num_trials = 1
epochs = 3
schedules = ["fixed"]
top_retrained = 0
"""


def reader():
    inputs = keras.Input((), dtype="string")
    words = L.TextVectorization(output_sequence_length=3, vocabulary=["a", "so", "good", "bad", "film"])(inputs)
    model = keras.Model(inputs, L.Dense(1, "sigmoid")(L.Flatten()(L.Embedding(7, 2)(words))))
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def run(monkeypatch, tmp_path):
    module = types.ModuleType("a_task_of_forms")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def run(build_model, data, steps=0):
        module.build_model, module.load_data = build_model, lambda: data
        (tmp_path / "search.toml").write_text(CONFIG.format(steps=steps))
        return pipeline.run_stage(
            load_config(tmp_path / "search.toml", environ={}), out=tmp_path / "out", state=tmp_path / "state"
        )

    return run


def test_an_endless_dataset_of_text_has_epochs_of_so_many_steps(run):
    batches = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    report = run(reader, {"train": batches.repeat(), "validation": batches, "test": (TEXTS, LABELS)}, steps=5)

    assert report.best.num_steps == 15
    assert 0 <= report.summary["best"]["test"]["accuracy"] <= 1


def test_an_array_on_disk_is_held_out_trained_on_and_evaluated_there(run, tmp_path):
    x = np.random.default_rng(0).random((160, 3)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")

    def linear():
        model = keras.Sequential([L.Input((3,)), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    y = x.sum(axis=1)
    report = run(linear, ((on_disk, y), (on_disk, y)))

    assert report.best.num_steps == 3 * 4  # 128 of 160 samples, in batches of 32
    assert report.summary["best"]["test"]["loss"] > 0
