"""Loops of one task share its data: it is put on the device once, and counted once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import lrrt
from lrrt import Loops
from studies import LoopCache, OptimizerRange, OptunaStudy, SearchSpace, Trainer, TrialConfig

X, Y = np.random.default_rng(0).random((12, 3), np.float32), np.zeros((12, 1), "float32")


def build(hp):
    model = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(hp.Int("units", 1, 4)), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


class Counted:
    """Data whose number of batches is not known, and which counts how often it is read to its end."""

    def __init__(self, num_batches=3):
        self.num_batches, self.num_passes = num_batches, 0
        spec = tf.TensorSpec((4, 3)), tf.TensorSpec((4, 1))
        self.dataset = tf.data.Dataset.from_generator(self.batches, output_signature=spec)

    def batches(self):
        yield from ((X[:4], Y[:4]) for _ in range(self.num_batches))
        self.num_passes += 1


def test_another_model_puts_no_data_on_the_device_again():
    loops = Loops(build, (X, Y), optimizers=["sgd"], batch_size=4, validation_data=(X, Y))
    other = LoopCache(loops).loops_of(TrialConfig("sgd", "fixed", 0.1, 4, own=(("units", 3),)))

    assert other.model.layers[0].units == 3
    assert other.batches.arrays[0] is loops.batches.arrays[0]
    assert other.validation.arrays[0] is loops.validation.arrays[0]


def test_another_monitor_puts_no_data_on_the_device_again():
    loops = Loops(build, (X, Y), optimizers=["sgd"], batch_size=4, validation_data=(X, Y))
    other = loops.like(monitor="val_loss")

    assert (other.monitor.name, loops.monitor.name) == ("val_loss", "loss")
    assert other.batches.arrays[0] is loops.batches.arrays[0]
    assert other.get("sgd").model is not loops.get("sgd").model


def test_a_dataset_is_counted_once_for_all_models():
    data = Counted()
    loops = Loops(build, data.dataset, optimizers=["sgd"], validation_data=(X, Y))
    made = data.num_passes
    for units in (2, 3):
        loops.like(hyperparameters={"units": units})

    assert (data.num_passes, loops.num_batches(32)) == (made, 3)


def test_a_range_test_of_one_model_or_several_reads_no_data_to_count_it():
    counts = []
    for hyperparameters in ([{"units": 1}], [{"units": 1}, {"units": 2}]):
        data = Counted(num_batches=100)
        ramp = lrrt.Ramp(1e-4, 1e-1, num_steps=2)  # of far fewer steps than batches: none of its passes reaches the end
        lrrt.range_test(build, data.dataset, optimizers=["sgd"], ramp=ramp, repeats=1, hyperparameters=hyperparameters)
        counts.append(data.num_passes)

    assert counts == [0, 0]


@pytest.mark.parametrize("several", [False, True])
def test_a_case_has_its_hyperparameters_whether_there_are_several_or_one(several):
    hyperparameters = [{"units": 2}, {"units": 3}] if several else [{"units": 2}]
    ramp = lrrt.Ramp(1e-4, 1.0, num_steps=20)
    result = lrrt.range_test(
        build, (X, Y), optimizers=["sgd"], ramp=ramp, batch_size=4, repeats=1, hyperparameters=hyperparameters
    )

    assert [dict(case.hyperparameters) for case in result.cases.values()] == hyperparameters
    assert list(result.cases) == (["sgd, units=2", "sgd, units=3"] if several else ["sgd"])


def test_several_batch_sizes_of_data_in_batches_are_refused_before_any_trial():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    loops = Loops(build, dataset, optimizers=["sgd"], validation_data=dataset)
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-2),), batch_sizes=(4, 8))

    with pytest.raises(ValueError, match=r"must come with data in arrays, got \[4, 8\] .* Pass the arrays, or one"):
        OptunaStudy(space).run(Trainer(loops, epochs=1), num_trials=1)
