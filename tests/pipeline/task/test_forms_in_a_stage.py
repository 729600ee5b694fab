"""Forms of data that a stage takes from `load_data` as `fit` would: text, endless datasets, test data in lists."""

import sys
import types

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

import pipeline
from pipeline.config.toml import load_config

pytestmark = pytest.mark.usefixtures("blank_pictures")

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
{more}
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

    def run(build_model, data, steps=0, more="top_retrained = 0"):
        module.build_model, module.load_data = build_model, lambda: data
        (tmp_path / "search.toml").write_text(CONFIG.format(steps=steps, more=more))
        return pipeline.run_stage(
            load_config(tmp_path / "search.toml", environ={}), out=tmp_path / "out", state=tmp_path / "state"
        )

    return run


@pytest.mark.long
def test_an_endless_dataset_of_text_has_epochs_of_so_many_steps(run):
    batches = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    report = run(reader, {"train": batches.repeat(), "validation": batches, "test": (TEXTS, LABELS)}, steps=5)

    assert report.best.num_steps == 15
    assert any("comes in batches of its own: where results" in note for note in report.summary["data"]["notes"])
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


class Mixed(keras.Model):
    """Takes a text, a sparse row and as many numbers of words as a sample has."""

    def __init__(self):
        super().__init__()
        self.lookup = L.StringLookup(vocabulary=["good", "bad"], output_mode="one_hot")
        self.words = self.add_weight(shape=(6, 2))
        self.table, self.outer = L.Dense(2), L.Dense(1)
        self.table.build((None, 5))
        self.outer.build((None, 3 + 2 + 2))

    def call(self, inputs):
        words = tf.reduce_mean(tf.gather(self.words, inputs["words"]), axis=1)
        text = tf.cast(self.lookup(inputs["text"]), tf.float32)
        return self.outer(tf.concat([text, self.table(inputs["table"]), words], axis=-1))


@pytest.mark.long
def test_text_sparse_and_ragged_rows_are_held_out_and_cut_into_folds(run):
    def mixed():
        model = Mixed()
        model.compile("sgd", "mse")
        return model

    x = {
        "text": ["good", "bad"] * 60,
        "table": scipy.sparse.random(120, 5, 0.3, "csr", dtype="float32", rng=0),
        "words": tf.ragged.constant([list(range(1, 2 + number % 4)) for number in range(120)], dtype="int32"),
    }
    report = run(mixed, (x, np.arange(120.0) % 2), more="folds = 2\ntop_retrained = 1\nretrain_seeds = 1")

    assert report.best.num_steps == 3 * 3  # 96 of 120 samples, in batches of 32
    assert len(report.retrained[0].folds.ended) == 2
