"""What is true of a step on a GPU, as far as it can be counted from the graph without one."""

import importlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from lrrt import Loops

pytestmark = pytest.mark.skipif(not tf.test.is_built_with_cuda(), reason="this TensorFlow knows no kernels for a GPU")


@pytest.fixture(scope="module")
def counts_of():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        yield importlib.import_module("gpu_counts").counts_of


def loop_of_mlp(*, stops_at_once):
    def build():
        model = keras.Sequential(
            [keras.layers.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    loops = Loops(build, (np.zeros((20, 4), "float32"), np.zeros(20, "int32")), optimizers=["adam"], batch_size=8)
    loop = loops.through_fit("adam").loop
    loop.stops_at_once = stops_at_once
    loop.trace()
    return loop


def test_a_step_waits_for_nothing_and_every_operation_has_a_kernel_for_the_gpu(counts_of):
    counts = counts_of(loop_of_mlp(stops_at_once=False))

    assert not counts.to_host
    assert not counts.on_host


def test_the_data_of_a_batch_is_gathered_without_a_copy_of_its_index(counts_of):
    counts = counts_of(loop_of_mlp(stops_at_once=False))

    assert not [operations for operations in counts.to_gpu if "Gather" in operations]


def test_a_look_at_each_loss_would_make_the_host_wait_at_each_step(counts_of):
    assert counts_of(loop_of_mlp(stops_at_once=True)).to_host.total() == 1
