"""Data that comes in batches: what is no batch is refused with the remedy, and workers of a PyDataset work."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import lrrt
from lrrt.batches import as_batches

X = np.arange(96, dtype="float32").reshape(24, 4) / 96
Y = np.arange(24) % 3
ONE_HOT = np.eye(5)[Y]


def pairs():
    yield X, Y


class Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, number):
        return X, Y


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (tf.data.Dataset.from_tensor_slices((X, Y)), ValueError, r"of single samples, .* Call .batch\(32\) on it"),
        (
            tf.data.Dataset.from_generator(lambda: iter([(X, Y)]), output_types=(tf.float32, tf.int64)),
            ValueError,
            r"of a known number of axes, .* of shapes <unknown>, <unknown>. Give from_generator an output_signature",
        ),
        (tf.data.Dataset.from_tensor_slices((X, ONE_HOT)), ValueError, r"of shapes \(4,\), \(5,\). Call .batch\(32\)"),
        (pairs, TypeError, r"got a function. Call it: pass pairs\(\)"),
        (Pairs, TypeError, r"got the class Pairs. Pass an instance: Pairs\(\.\.\.\)"),
    ],
)
def test_what_gives_no_batches_is_refused_with_the_remedy(data, error, message):
    with pytest.raises(error, match=message):
        as_batches(data, 8)


def test_single_samples_without_labels_are_refused_when_they_meet_the_model():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd")
    with pytest.raises(
        ValueError, match=r"got x of shape \(None,\), for inputs of shape \(None, 4\).*call .batch\(32\)"
    ):
        lrrt.Loops(model, tf.data.Dataset.from_tensor_slices(X), optimizers=["sgd"])


def test_a_dataset_that_does_not_say_that_it_has_no_end_is_tested_and_has_epochs_of_steps():
    def endless():
        while True:
            yield X, Y

    signature = tf.TensorSpec([None, 4]), tf.TensorSpec([None])
    data = tf.data.Dataset.from_generator(endless, output_signature=signature)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    loops = lrrt.Loops(model, data, optimizers=["sgd"], steps_per_epoch=7)

    assert len(loops.get("sgd").train([0.1] * 5).losses) == 5
    assert loops.num_batches(1) == 7


def test_batches_that_a_dataset_does_not_count_are_counted():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).filter(lambda x, y: y[0] >= 0)

    assert as_batches(data, 1).num_batches == 3


class Meeting(keras.utils.PyDataset):
    """Gives a batch only while three others are being made."""

    def __init__(self):
        super().__init__(workers=4, max_queue_size=4)
        self.barrier = threading.Barrier(4)
        self.is_open = True

    def __len__(self):
        return 8

    def __getitem__(self, number):
        if not self.is_open:
            self.barrier.wait(timeout=30)
        return X[3 * number : 3 * number + 3], np.full(3, number)


def test_a_py_dataset_has_its_workers_and_keeps_its_order():
    data = Meeting()
    batches = as_batches(data, 8)
    data.is_open = False
    plan = batches.plan(8, None)

    assert [int(batches.take(step, *plan)[1][0]) for step in range(8)] == list(range(8))


def test_what_a_worker_raises_ends_the_training():
    class Broken(Meeting):
        def __getitem__(self, number):
            if number == 5:
                raise RuntimeError("no such image")
            return super().__getitem__(number)

    batches = as_batches(Broken(), 8)
    plan = batches.plan(8, None)
    with pytest.raises(tf.errors.OpError, match="no such image"):
        [batches.take(step, *plan) for step in range(8)]


@pytest.mark.parametrize(
    "batch", [(X, Y, None), (X.tolist(), Y.tolist()), [X, Y]], ids=["no weights", "lists of numbers", "a list"]
)
def test_batches_of_a_generator_may_have_no_weights_and_be_lists(batch):
    x, y = as_batches(iter([batch, batch]), 1).sample(1)

    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def test_batches_of_sequences_may_differ_in_length():
    def sequences():
        while True:
            for length in (5, 3, 7):
                yield np.ones((4, length, 2), "float32"), np.ones((4, 1), "float32")

    model = keras.Sequential([keras.layers.Input((None, 2)), keras.layers.LSTM(2), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    ramp = lrrt.Ramp(1e-3, 1e-2, 9)

    assert len(lrrt.range_test(model, sequences(), optimizers=["sgd"], ramp=ramp, repeats=1).curves["sgd"][0].lrs) == 9
