"""Tables, ragged and sparse data, of TensorFlow and of SciPy, are taken as `fit` takes them; a memmap stays on disk."""

import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf

import lrrt
from lrrt import rows
from lrrt.batches import as_batches

L = keras.layers
RNG = np.random.default_rng(0)
DENSE = RNG.random((40, 6)).astype("float32") * (RNG.random((40, 6)) < 0.4)
Y = DENSE.sum(axis=1, keepdims=True)
RAMP = lrrt.Ramp(1e-3, 0.1, 10)
WORDS = tf.ragged.constant([list(range(1, 2 + number % 4)) for number in range(40)], dtype="int32")


def dense(**arguments):
    model = keras.Sequential([L.Input((6,), **arguments), L.Dense(4, "relu"), L.Dense(1)])
    model.compile("sgd", "mse")
    return model


def losses_of(build_model, x, **arguments):
    options = {"optimizers": ["sgd"], "ramp": RAMP, "batch_size": 8, "repeats": 1} | arguments
    return lrrt.range_test(build_model, (x, Y), **options).curves["sgd"][0].losses


@pytest.fixture(scope="module")
def dense_losses():
    return losses_of(dense, DENSE)


def backwards(dense):
    table = scipy.sparse.coo_array(dense)
    return scipy.sparse.coo_array((table.data[::-1], (table.row[::-1], table.col[::-1])), table.shape)


@pytest.mark.parametrize(
    ("convert", "takes_sparse"),
    [
        (scipy.sparse.csr_matrix, False),
        (backwards, True),
        (scipy.sparse.dok_array, False),
        (tf.sparse.from_dense, False),
        (tf.sparse.from_dense, True),
    ],
)
def test_sparse_data_gives_the_curve_of_the_same_dense_data(convert, takes_sparse, dense_losses):
    losses = losses_of(lambda: dense(sparse=takes_sparse), convert(DENSE))

    np.testing.assert_allclose(losses, dense_losses, rtol=1e-4)


@pytest.mark.parametrize(
    "convert",
    [
        lambda frame: frame.astype("Float64"),
        lambda frame: frame.assign(even=frame.pop(5) > 0),
        lambda frame: frame.assign(even=(frame.pop(5) > 0).astype("boolean")),
    ],
    ids=["nullable", "booleans beside floats", "nullable booleans beside floats"],
)
def test_columns_of_a_table_may_be_of_any_kind_of_number(convert):
    frame = convert(pd.DataFrame(DENSE).round())

    (taken, _) = as_batches((frame, Y), 8).arrays
    (expected, _) = as_batches((frame.to_numpy().astype("float32"), Y), 8).arrays
    np.testing.assert_array_equal(taken, expected)
    assert taken.dtype == expected.dtype


def test_a_number_that_a_table_lacks_is_refused():
    frame = pd.DataFrame(DENSE).astype("Float64")
    frame.loc[3, 0] = pd.NA

    with pytest.raises(ValueError, match="must be finite, got NaN or infinity in 1 of 40 samples, first in sample 3"):
        losses_of(dense, frame)


def test_sparse_batches_of_a_generator_are_trained_on():
    def batches():
        while True:
            yield scipy.sparse.csr_matrix(DENSE[:8]), Y[:8]

    model = dense(sparse=True)
    curve = lrrt.range_test(model, batches(), optimizers=["sgd"], ramp=RAMP, repeats=1).curves["sgd"][0]

    assert curve.losses[-1] < curve.losses[0]


def test_rows_of_a_sparse_tensor_are_those_of_the_dense_one_in_whatever_order_it_has_them():
    table = tf.sparse.from_dense(DENSE)
    backwards = tf.SparseTensor(table.indices[::-1], table.values[::-1], table.dense_shape)
    taken = rows.SparseRows.from_tensor(backwards).gather([7, 0, 7])

    np.testing.assert_array_equal(tf.sparse.to_dense(taken), DENSE[[7, 0, 7]])


class Ragged(keras.Model):
    """Takes the mean of as many words as a sample has."""

    def __init__(self):
        super().__init__()
        self.table = self.add_weight(shape=(6, 3), initializer="glorot_uniform")
        self.outer = L.Dense(1)

    def call(self, words):
        return self.outer(tf.reduce_mean(tf.gather(self.table, words), axis=1))


def ragged():
    model = Ragged()
    model.compile("sgd", "mse")
    return model


def test_ragged_data_is_trained_on_in_the_loop_and_through_fit():
    def eager():
        model = ragged()
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    compiled = losses_of(ragged, WORDS)

    assert compiled[-1] < compiled[0]
    np.testing.assert_allclose(losses_of(eager, WORDS), compiled, rtol=1e-4)


@pytest.mark.parametrize("convert", [scipy.sparse.csr_matrix, tf.sparse.from_dense, tf.RaggedTensor.from_tensor])
def test_values_that_are_not_finite_are_refused_in_data_of_every_kind(convert):
    broken = DENSE.copy()
    broken[3, 2] = np.inf
    with pytest.raises(ValueError, match="data must be finite, got NaN or infinity in 1 of"):
        as_batches((convert(broken), Y), 8)


@pytest.fixture
def on_disk(tmp_path):
    np.save(tmp_path / "x.npy", DENSE.astype("float64"))
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def test_each_pass_has_every_row_once_in_a_new_order_or_in_their_own_if_nothing_is_drawn():
    batches = as_batches((np.arange(10.0), np.zeros(10)), 4)
    drawn, in_order = (batches.plan(2 * 3, rng)[0].numpy() for rng in (np.random.default_rng(0), None))
    passes = [drawn[:10].tolist(), drawn[10:].tolist(), list(range(10))]

    assert [sorted(one) for one in passes] == [list(range(10))] * 3
    assert len(set(map(tuple, passes))) == 3
    assert in_order.tolist() == 2 * list(range(10))


def test_a_memmap_gives_the_curve_of_the_same_array(on_disk, dense_losses):
    np.testing.assert_array_equal(losses_of(dense, on_disk), dense_losses)


def test_a_memmap_is_validated_on(on_disk):
    loops = lrrt.Loops(dense, (on_disk, Y), optimizers=["sgd"], batch_size=8, validation_data=(on_disk, Y))
    in_memory = loops.model.evaluate(DENSE, Y, verbose=0)

    assert loops.get("sgd").validate() == pytest.approx(in_memory, rel=1e-5)


def test_a_memmap_with_values_that_are_not_finite_is_refused(tmp_path):
    x = np.memmap(tmp_path / "x", "float32", "w+", shape=(2000, 6))
    x[[1500, 1700]] = np.nan
    with pytest.raises(ValueError, match="in 2 of 2000 samples, first in sample 1500"):
        as_batches((x, np.zeros(2000)), 8)


@pytest.mark.long
def test_a_memmap_larger_than_memory_allows_is_never_copied_as_a_whole(tmp_path):
    """A process may have 150 MB more anonymous memory after a range test on 400 MB; a copy of all would be 400."""
    program = f"""
import re
from pathlib import Path
import keras, numpy as np, lrrt
x = np.memmap({str(tmp_path / "x")!r}, "float32", "w+", shape=(100_000, 1000))
y = np.zeros((100_000, 1), "float32")
def build():
    model = keras.Sequential([keras.layers.Input((1000,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
ramp = lrrt.Ramp(1e-3, 1e-1, 10)
lrrt.range_test(build, (np.ones((64, 1000), "float32"), y[:64]), optimizers=["sgd"], ramp=ramp, repeats=1)
before = anonymous()
lrrt.range_test(build, (x, y), optimizers=["sgd"], ramp=ramp, repeats=1)
print(anonymous() - before)
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert shown.returncode == 0, shown.stderr
    assert int(shown.stdout.split()[-1]) < 150
