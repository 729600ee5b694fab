"""A model whose gradient is always 1 and that remembers its weight and its optimizer's first slot after every step."""

import keras
import numpy as np
from keras import ops

from lrrt import Loops

STEPS_AN_EPOCH, EPOCHS = 4, 6
NUM_STEPS = STEPS_AN_EPOCH * EPOCHS


class Recording(keras.Model):
    def __init__(self):
        super().__init__()
        self.weight = self.add_weight((), "zeros")
        self.seen = self.add_weight((NUM_STEPS, 2), "zeros", trainable=False)
        self.count = self.add_weight((), "zeros", "int32", trainable=False)

    def call(self, x):
        return self.weight + 0 * x

    def train_step(self, data):
        logs = super().train_step(data)
        slots = self.optimizer.variables[2:]
        row = ops.stack([self.weight.value, slots[0].value if slots else 0.0])
        self.seen.assign(ops.slice_update(self.seen.value, (self.count.value, 0), row[None]))
        self.count.assign_add(1)
        return logs


def build():
    model = Recording()
    model.compile("sgd", loss=lambda y, y_pred: y_pred)
    return model


def make_loops():
    data = np.zeros((2 * STEPS_AN_EPOCH, 1), "float32")
    optimizers = {
        "sgd": keras.optimizers.SGD(),
        "momentum": keras.optimizers.SGD(momentum=0.8),
        "adam": keras.optimizers.Adam(),
    }
    return Loops(build, (data, data), optimizers=optimizers, batch_size=2, validation_data=(data[:2], data[:2]))


def applied(trainer, config):
    """Train, and read back what each step did: the weights, starting at 0, and the slots, starting at 0."""
    trainer.train(config)
    seen = np.asarray(trainer.cache.loop_of(config).model.seen)
    return np.concatenate([[0.0], seen[:, 0]]), np.concatenate([[0.0], seen[:, 1]])
