"""What `load_data` may return, and what becomes of it."""

import sys
import types

import numpy as np
import pytest

from pipeline.failures import TaskError
from pipeline.task.loading import load_task

X, Y = np.arange(40.0).reshape(20, 2), np.arange(20)
TEST = X[:5], Y[:5]


READS = """
def build_model(): ...
def load_data():
    return open("data/x.csv").read()
"""


@pytest.fixture
def load(monkeypatch):
    module = types.ModuleType("a_task_of_data")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.build_model = lambda: None

    def load(data):
        module.load_data = lambda: data
        return load_task("a_task_of_data:build_model", "a_task_of_data:load_data")

    return load


@pytest.mark.parametrize("pair", [(X, Y), [X, Y], (X.tolist(), Y.tolist()), ({"a": X}, Y), ((X, X), Y)])
def test_x_and_y_are_training_data_of_which_some_is_held_out(load, pair):
    task = load(pair)

    assert task.held_out is not None
    assert task.test is None
    np.testing.assert_array_equal(np.sort(np.concatenate([task.train[1], task.validation[1]])), Y)


def test_what_keras_datasets_return_is_training_and_test_data(load):
    task = load(((X, Y), TEST))

    assert task.held_out is not None
    assert task.test is TEST
    assert len(task.train[1]) + len(task.validation[1]) == 20


@pytest.mark.parametrize("data", [X, (X, Y, X), None, {"training": (X, Y)}, "mnist", ("a", "b")])
def test_anything_else_is_refused_with_what_it_may_be(load, data):
    with pytest.raises(
        TaskError, match=r'a dict with the key "train", .*; or \(x, y\), \(x_test, y_test\); or \(x, y\);'
    ):
        load(data)


def test_a_memmap_is_held_out_on_disk(load, tmp_path):
    np.save(tmp_path / "x.npy", X)
    task = load((np.load(tmp_path / "x.npy", mmap_mode="r"), Y))

    assert isinstance(task.train[0].array, np.memmap)
    assert task.train[0].shape == (16, 2)
    np.testing.assert_array_equal(task.train[0].read(np.arange(16))[:, 0], 2.0 * task.train[1])


def test_text_is_held_out(load):
    task = load(([f"text {number}" for number in Y], Y))

    assert [text.decode() for text in task.train[0]] == [f"text {number}" for number in task.train[1]]


def test_a_relative_path_that_is_not_there_says_where_it_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_task_that_reads.py").write_text(READS)

    with pytest.raises(TaskError, match=rf"begins in the folder where the command runs, here {tmp_path}\.$"):
        load_task("a_task_that_reads:build_model", "a_task_that_reads:load_data")
