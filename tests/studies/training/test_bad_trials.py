"""Trials for which there is no room, or nothing to judge them by, and trainings too short for their schedules."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from lrrt import Loops
from studies import (
    Dimension,
    KerasTunerStudy,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    Trainer,
    TrialConfig,
    TrialState,
    own_dimensions,
)

X, Y = np.zeros((64, 8), "float32"), np.zeros((64, 1), "float32")
TOO_MANY_UNITS = 2**45  # 8 inputs of 4 bytes each: 1 PiB


def build(hp):
    layers = keras.layers.Dense(hp.Int("units", 1, TOO_MANY_UNITS)), keras.layers.Dense(1)
    model = keras.Sequential([keras.layers.Input((8,)), *layers])
    model.compile("sgd", "mse")
    return model


class Greedy(keras.Sequential):
    """Asks for 1 PiB in the graph, as a batch too large for the device does."""

    def train_step(self, data):
        rows = tf.shape(data[0], tf.int64)[0]
        huge = tf.zeros(tf.stack([rows * 2**22, 2**22]))
        return super().train_step((data[0] + tf.reduce_max(huge), data[1]))


def greedy():
    model = Greedy([keras.layers.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_a_trial_whose_model_has_no_room_fails_alone():
    loops = Loops(build, (X, Y), optimizers=["sgd"], validation_data=(X, Y))
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-2),), own=(Dimension("units", (2, TOO_MANY_UNITS)),))
    results = OptunaStudy(space).run(Trainer(loops, epochs=1), num_trials=6)
    states = {(dict(result.config.own)["units"], result.state) for result in results}
    (error,) = {result.error.split(":")[0] for result in results if result.error}

    assert states == {(2, TrialState.COMPLETED), (TOO_MANY_UNITS, TrialState.FAILED)}
    assert error == "ResourceExhaustedError"


def leaving(hp):
    units = hp.Int("units", 1, 3)
    if units == 3:
        sys.exit(0)
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_a_trial_whose_builder_leaves_the_program_fails_alone():
    loops = Loops(leaving, (X, Y), optimizers=["sgd"], validation_data=(X, Y))
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-2),), own=(Dimension("units", (2, 3)),))
    results = OptunaStudy(space).run(Trainer(loops, epochs=1), num_trials=6)
    states = {(dict(result.config.own)["units"], result.state) for result in results}

    assert len(results) == 6
    assert states == {(2, TrialState.COMPLETED), (3, TrialState.FAILED)}
    assert [one.name for one in own_dimensions(leaving)] == ["units"]


def test_a_trial_that_runs_out_of_memory_lets_go_of_its_loop():
    loops = Loops(greedy, (X, Y), optimizers=["sgd", "adam"], validation_data=(X, Y))
    trainer = Trainer(loops, epochs=1)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        trainer.train(TrialConfig("sgd", "fixed", 1e-3, 32))
    with pytest.raises(tf.errors.ResourceExhaustedError):
        trainer.train(TrialConfig("adam", "one_cycle", 1e-3, 16))

    assert loops.num_traces == {}


def dense():
    model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def broken_at(row):
    x = X.copy()
    x[row] = np.nan
    return x


def test_validation_data_with_nan_is_refused_before_anything_trains():
    with pytest.raises(ValueError, match="validation_data must be finite, got NaN or infinity in 1 of 64 samples"):
        Loops(dense, (X, Y), optimizers=["sgd"], validation_data=(broken_at(40), Y))


def test_nan_in_a_later_batch_of_validation_data_is_refused_before_anything_trains():
    stream = tf.data.Dataset.from_tensor_slices((broken_at(40), Y)).batch(16)
    loops = Loops(dense, (X, Y), optimizers=["sgd"], validation_data=stream)
    with pytest.raises(ValueError, match=r"must be finite, got NaN or infinity in batch 2 of 4. Drop or fill"):
        Trainer(loops, epochs=1)


@pytest.mark.parametrize(
    ("schedule", "epochs", "message"),
    [
        ("triangular", 3, r"epochs=3, of 4 batches of 16, but 'triangular' with num_cycles=8.* at least 16 steps"),
        ("one_cycle", 1, ""),
        ("triangular", 4, ""),
        (
            "step",
            1,
            r"epochs=1, .* 'step' with num_drops=5.* at least 7 steps, got num_steps=4",
        ),
        ("exponential", 1, ""),
    ],
)
@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_a_space_with_schedules_longer_than_the_trainings_is_refused(schedule, epochs, message, engine, tmp_path):
    loops = Loops(dense, (X, Y), optimizers=["sgd"], validation_data=(X, Y))
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-2),), (schedule,), (8, 16), searches_warmup=schedule == "step")
    trainer = Trainer(loops, epochs=epochs)
    study = OptunaStudy(space) if engine == "optuna" else KerasTunerStudy(space, directory=tmp_path)
    if message:
        with pytest.raises(ValueError, match=message):
            study.run(trainer, num_trials=1)
    else:
        trainer.check_space(space)
