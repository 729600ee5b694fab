"""Trials train on every form of data, and with every form of model, that range tests take."""

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from lrrt import Loops
from studies import Trainer, TrialConfig, TrialState

L = keras.layers
X = np.random.default_rng(0).random((32, 4)).astype("float32")
TEXTS = ["a good film", "so bad"] * 16
LABELS = np.array([1, 0] * 16)


def reader():
    inputs = keras.Input((), dtype="string")
    words = L.TextVectorization(output_sequence_length=3, vocabulary=["a", "so", "good", "bad", "film"])(inputs)
    model = keras.Model(inputs, L.Dense(1, "sigmoid")(L.Flatten()(L.Embedding(7, 2)(words))))
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return model


def linear(**arguments):
    model = keras.Sequential([L.Input((4,), **arguments), L.Dense(1)])
    model.compile("sgd", "mse")
    return model


class Copier(keras.Model):
    """Has no `call`, and copies the x that it is given alone."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([L.Input((4,)), L.Dense(4)])
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.tracker]

    def train_step(self, x):
        with tf.GradientTape() as tape:
            loss = keras.ops.mean((self.inner(x) - x) ** 2)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return self.shown(loss)

    def test_step(self, x):
        return self.shown(keras.ops.mean((self.inner(x) - x) ** 2))

    def shown(self, loss):
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}


def copier():
    model = Copier()
    model.compile("sgd")
    return model


class Sequence(keras.utils.PyDataset):
    def __init__(self):
        super().__init__(workers=2)

    def __len__(self):
        return 4

    def __getitem__(self, number):
        rows = slice(8 * number, 8 * number + 8)
        return X[rows], X[rows].sum(axis=1)


@pytest.mark.parametrize(
    ("build_model", "make"),
    [
        (reader, lambda: (TEXTS, LABELS)),
        (reader, lambda: tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)),
        (copier, lambda: X),
        (lambda: linear(sparse=True), lambda: (scipy.sparse.csr_matrix(X), X.sum(axis=1))),
        (linear, Sequence),
    ],
    ids=["texts", "dataset of texts", "x alone without call", "sparse", "PyDataset"],
)
def test_a_trial_trains_and_leaves_its_best_model(build_model, make):
    loops = Loops(build_model, make(), optimizers=["adam"], batch_size=8, validation_data=make())
    trainer = Trainer(loops, epochs=3)
    trained = trainer.train(TrialConfig("adam", "fixed", 0.02, 8))

    assert trained.result.state is TrialState.COMPLETED
    assert trained.result.val_losses[-1] < trained.result.val_losses[0]
    trainer.as_trained(trained.result, trained.best_weights)
    assert loops.get("adam").validate() == pytest.approx(min(trained.result.val_losses), rel=1e-5)
