"""A run leaves nothing behind: after any other run, it is bit for bit what it is alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lrrt import Loops
from lrrt.recording import record_curves
from studies import StopTraining, Trainer, TrialConfig

EVERY_OPTIMIZER = [name for name in dir(keras.optimizers) if name[0].isupper() and "Optimizer" not in name]
MOMENTUM = {"momentum": keras.optimizers.SGD(momentum=0.9)}
RATES = np.geomspace(1e-4, 1.0, 10)
BATCH_SIZE = 4
RNG = np.random.default_rng(0)


def dense():
    return [keras.layers.Dropout(0.5), keras.layers.Dense(1)]


def convolutional():
    return [keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(1)]


def recurrent():
    return [keras.layers.LSTM(3, stateful=True), keras.layers.Dense(1)]


class WithItsOwn(keras.Sequential):
    """Has a metric and a count of its steps, which its loss grows with."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.tracker = keras.metrics.Mean(name="penalty")
        self.num_steps = tf.Variable(0.0, trainable=False)

    @property
    def metrics(self):
        return [*super().metrics, self.tracker]

    def train_step(self, data):
        self.num_steps.assign_add(1.0)
        logs = super().train_step((data[0] + 0.1 * self.num_steps, data[1]))
        self.tracker.update_state(self.num_steps)
        return {**logs, "penalty": self.tracker.result()}


def builder(layers, shape, kind=keras.Sequential):
    def build():
        model = kind([keras.layers.Input(batch_shape=(BATCH_SIZE, *shape)), *layers()])
        model.compile("sgd", "mse", metrics=["mae"] if kind is WithItsOwn else None)
        return model

    return build


def loops_of(layers, shape, optimizers, kind=keras.Sequential):
    x, y = RNG.random((2 * BATCH_SIZE, *shape), np.float32), RNG.random((2 * BATCH_SIZE, 1), np.float32)
    validation = x[:BATCH_SIZE], y[:BATCH_SIZE]
    arguments = {"optimizers": optimizers, "batch_size": BATCH_SIZE, "validation_data": validation}
    return lambda: Loops(builder(layers, shape, kind), (x, y), **arguments)


def as_bytes(*values):
    return b"".join(np.asarray(value).tobytes() for value in values)


def shown(trained):
    return as_bytes(trained.result.train_losses, trained.result.val_losses, *trained.best_weights)


class Runs:
    """All kinds of runs of one optimizer."""

    def __init__(self, loops, label):
        self.loops, self.label = loops, label
        self.trainer = Trainer(loops, epochs=3, patience=None)
        self.config = TrialConfig(label, "exponential", 0.01, BATCH_SIZE)
        self.other = TrialConfig(label, "fixed", 0.1, BATCH_SIZE)

    def range_test(self):
        curves = record_curves(self.loops, self.label, None, RATES, repeats=2, seed=0, on_repeat=lambda repeat: None)
        return as_bytes(*(curve.losses for curve in curves))

    def trial(self):
        return shown(self.trainer.train(self.config))

    def further_training(self):
        return shown(self.trainer.with_seed(1).train(self.config))

    def resumed_trial(self):
        """After another trial, whose model was handed out and trained on."""
        stored = []

        def stop(ended):
            stored.append(ended.checkpoint())
            raise StopTraining

        with pytest.raises(StopTraining):
            self.trainer.train(self.config, on_epoch=stop)
        trained = self.trainer.with_seed(2).train(self.other)
        model = self.trainer.as_trained(trained.result, trained.best_weights)
        model.train_on_batch(*self.loops.batches.sample(BATCH_SIZE)[:2])
        return shown(self.trainer.train(self.config, resume=stored[0]))


MAKERS = {
    "every optimizer on a dense network with dropout": loops_of(dense, (3,), EVERY_OPTIMIZER),
    "a convolutional network with batch normalisation": loops_of(convolutional, (5, 5, 1), MOMENTUM),
    "a stateful recurrent network": loops_of(recurrent, (2, 3), MOMENTUM),
    "a model with its own metrics and variables": loops_of(dense, (3,), {**MOMENTUM, "adam": "adam"}, WithItsOwn),
}


@pytest.mark.parametrize("make_loops", MAKERS.values(), ids=MAKERS)
def test_a_run_after_any_other_run_is_what_it_is_alone(make_loops):
    loops = make_loops()
    all_runs = {label: Runs(loops, label) for label in loops.labels}
    kinds = ("range_test", "trial", "further_training", "resumed_trial")
    ordered = [(label, kind) for label in all_runs for kind in kinds]
    first = {(label, kind): getattr(all_runs[label], kind)() for label, kind in ordered}
    again = {(label, kind): getattr(all_runs[label], kind)() for label, kind in reversed(ordered)}
    last = loops.labels[-1]
    alone = Runs(make_loops(), last).trial()

    assert [key for key in ordered if first[key] != again[key]] == []
    assert [label for label in all_runs if first[label, "resumed_trial"] != first[label, "trial"]] == []
    assert alone == first[last, "trial"]
