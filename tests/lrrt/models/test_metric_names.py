"""The metrics of every model that is built have the names of the first."""

import keras
import numpy as np
import pytest

from lrrt import Loops
from lrrt.monitor import direction_of

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


def build(*metrics):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[make() for make in metrics])
    return model


def names_of(*metrics):
    model = Loops(lambda: build(*metrics), (X, Y), optimizers=["sgd"], batch_size=8).model
    return sorted(model.evaluate(X, Y, verbose=0, return_dict=True))


def test_metrics_that_keras_numbers_through_a_process_have_the_names_of_the_first_model():
    made = keras.metrics.AUC, lambda: keras.metrics.AUC(curve="PR"), keras.metrics.F1Score
    for _ in range(2):
        assert names_of(*made) == ["auc", "auc_1", "f1_score", "loss"]


def test_names_that_the_user_gave_stay():
    made = lambda: keras.metrics.AUC(name="auc_1"), lambda: keras.metrics.AUC(name="auc_7"), lambda: "accuracy"
    assert names_of(*made) == ["accuracy", "auc_1", "auc_7", "loss"]


KINDS = [one for one in vars(keras.metrics).values() if isinstance(one, type) and one.__name__ != "MeanMetricWrapper"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_direction_of_each_of_keras_metrics_is_told_by_its_name(kind):
    numbers = {"num_classes": 2, "k": 2, "precision": 0.5, "recall": 0.5, "sensitivity": 0.5, "specificity": 0.5}
    given = {"num_classes", "precision", "recall", "sensitivity", "specificity", "target_class_ids", "fn"}
    values = {**numbers, "target_class_ids": [0], "fn": keras.losses.mean_squared_error}
    wanted = kind.__init__.__code__.co_varnames[: kind.__init__.__code__.co_argcount]
    required = {name for name in wanted if name in given} - ({"precision"} if kind.__name__ == "Precision" else set())
    metric = kind(**{name: values[name] for name in required})
    direction = {"up": "max", "down": "min"}.get(getattr(metric, "_direction", None))
    if direction is not None:
        assert direction_of(f"val_{metric.name}") == direction
