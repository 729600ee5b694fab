"""An epoch of either loop shows the metrics that an epoch of `model.fit` shows."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from lrrt.batches import as_batches
from lrrt.fit_loop import FitLoop
from lrrt.monitor import Monitor
from lrrt.training_loop import TrainingLoop
from lrrt.variables import read

X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
Y = (X[:, :1] + X[:, 1:2] > 0).astype("float32")
RATE = 0.05


class Largest(keras.Metric):
    """The largest prediction so far, which no sum over batches gives."""

    def __init__(self, name="largest"):
        super().__init__(name=name)
        self.value = self.add_weight(initializer="zeros", name="value")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value.assign(ops.maximum(self.value, ops.max(y_pred)))

    def result(self):
        return self.value


class Spread(Largest):
    """A metric of several numbers, which `fit` shows by their own names."""

    def result(self):
        return {"top": self.value, "half": self.value / 2}


def one_output():
    model = keras.Sequential([layers.Input((6,)), layers.Dense(4, "relu"), layers.Dense(1, "sigmoid")])
    metrics = ["accuracy", keras.metrics.AUC(name="auc"), Largest(), keras.metrics.F1Score(threshold=0.5, name="f1")]
    model.compile("sgd", "binary_crossentropy", metrics=metrics)
    return model


def two_outputs():
    inputs = layers.Input((6,))
    outputs = {"a": layers.Dense(1, "sigmoid", name="a")(inputs), "b": layers.Dense(1, name="b")(inputs)}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"a": "binary_crossentropy", "b": "mse"}, metrics={"a": ["accuracy"], "b": ["mae"]})
    return model


class Tracking(keras.Model):
    """A custom step with trackers of its own: of its loss, of a part of it, and one that is no mean."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)
        self.whole, self.part = keras.metrics.Mean(name="loss"), keras.metrics.Mean(name="part")
        self.largest = Largest()

    def call(self, x):
        return self.dense(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        part = ops.mean((y - y_pred) ** 2)
        loss = part + 0.1 * ops.mean(self.dense.kernel**2)
        self.whole.update_state(loss)
        self.part.update_state(part)
        self.largest.update_state(y, y_pred)
        return loss

    @property
    def metrics(self):
        return [self.whole, self.part, self.largest]


def tracking():
    model = Tracking()
    model(X[:1])
    model.compile("sgd", loss="mse")
    return model


def of_several_numbers():
    model = keras.Sequential([layers.Input((6,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[Spread("spread")])
    return model


CASES = {
    "one": (one_output, Y),
    "two": (two_outputs, {"a": Y, "b": X[:, :1]}),
    "own": (tracking, Y),
    "several numbers": (of_several_numbers, Y),
}


@pytest.fixture(scope="module", params=list(CASES))
def fitted(request):
    """A model's builder, its targets, its initial weights, and what two epochs of `fit` show from there."""
    build, y = CASES[request.param]
    model = build()
    weights = [value.numpy() for value in read(model.variables)]
    model.optimizer.learning_rate = RATE
    expected = model.fit(X, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    return request.param, build, y, weights, expected


@pytest.mark.parametrize("through_fit", [False, True])
def test_the_metrics_of_an_epoch_are_those_of_fit(fitted, through_fit):
    case, build, y, weights, expected = fitted
    loop = TrainingLoop(build(), keras.optimizers.SGD(), as_batches((X, y), 16))
    loop = FitLoop(loop) if through_fit else loop
    loop.restart(weights)

    for epoch in range(2):
        loop.metrics.begin()
        steps = loop.train([RATE] * 3)
        shown = loop.metrics.read()
        assert set(shown) | {"loss"} == set(expected) - ({"largest"} if case == "own" else set())
        for name, value in shown.items():
            np.testing.assert_allclose(value, expected[name][epoch], rtol=1e-5, err_msg=name)
        if case != "own":  # whose trackers count batches, not samples
            assert steps.mean_loss() == pytest.approx(expected["loss"][epoch], rel=1e-5)


def test_each_step_shows_its_own_loss_and_its_own_monitored_metric():
    x = np.concatenate([X[:16], X[:16]])
    y = np.concatenate([Y[:16], 1 - Y[:16]])
    for monitor in (Monitor(), Monitor("accuracy")):
        steps = TrainingLoop(one_output(), keras.optimizers.SGD(), as_batches((x, y), 16), monitor=monitor).train(
            [1e-12] * 6
        )
        np.testing.assert_allclose(steps.losses[2:], steps.losses[:4], rtol=1e-5)
        assert steps.losses[0] != pytest.approx(steps.losses[1], rel=1e-3)
    np.testing.assert_allclose(steps.monitored[::2] + steps.monitored[1::2], 1.0)
