"""A task with few positives on which the lowest loss and the best ranking belong to different models.

"calibrated" predicts the share of positives for every row, which is a low loss, but ranks nothing: its AUC is .5.
"ranking" knows the rule, but its bias is far off: its loss is high, and its AUC is 1. At the rates that are searched
neither learns.
"""

import keras
import numpy as np

from lrrt import Loops
from studies import Dimension, OptimizerRange, SearchSpace

SHARE = 0.05  # of positives
SPACE = SearchSpace(
    (OptimizerRange("sgd", 1e-6, 1e-5),), ("fixed",), (64,), own=(Dimension("kind", ("calibrated", "ranking")),)
)


def rows(seed, num=640):
    x = np.random.default_rng(seed).normal(size=(num, 4)).astype("float32")
    threshold = np.quantile(x[:, 0], 1 - SHARE)
    x[:, 0] -= threshold
    return x, (x[:, :1] > 0).astype("float32")


def load_data():
    return {"train": rows(0), "validation": rows(1)}


def build_model(hp):
    kind = hp.Choice("kind", ["calibrated", "ranking"])
    slope, bias = (0.0, np.log(SHARE / (1 - SHARE))) if kind == "calibrated" else (2.0, 3.0)
    kernel = keras.initializers.Constant(np.array([[slope], [0], [0], [0]]))
    dense = keras.layers.Dense(
        1, "sigmoid", kernel_initializer=kernel, bias_initializer=keras.initializers.Constant(bias)
    )
    model = keras.Sequential([keras.layers.Input((4,)), dense])
    metrics = [keras.metrics.AUC(num_thresholds=2000), "accuracy", keras.metrics.F1Score(), own_metric]
    model.compile("sgd", keras.losses.BinaryCrossentropy(), metrics=metrics)
    return model


def own_metric(y_true, y_pred):
    """The mean prediction; Keras knows no direction of it."""
    return keras.ops.mean(y_pred, axis=-1)


def make_loops():
    data = load_data()
    return Loops(build_model, data["train"], optimizers=["sgd"], batch_size=64, validation_data=data["validation"])
