"""The loss of a constant answer is what Keras evaluates for a model that gives that answer."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import lrrt
from lrrt.batches import as_batches
from lrrt.constant_answer import constant_answer

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)).astype("float32")
CLASSES = RNG.choice(3, 200, p=[0.7, 0.2, 0.1])
BINARY = (RNG.random(200) < 0.2).astype("float32")
AMOUNTS = RNG.exponential(size=200).astype("float32")
ENTROPY = -sum(share * np.log(share) for share in np.bincount(CLASSES) / 200)
BINARY_ENTROPY = -sum(share * np.log(share) for share in (BINARY.mean(), 1 - BINARY.mean()))


def compiled(loss, *layers, **arguments):
    model = keras.Sequential([L.Input((3,)), *layers])
    model.compile("sgd", loss, **arguments)
    return model


@pytest.mark.parametrize(
    ("loss", "units", "activation", "labels", "expected", "answer"),
    [
        ("sparse_categorical_crossentropy", 3, "softmax", CLASSES, ENTROPY, "shares of the classes"),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3, None, CLASSES, ENTROPY, "shares"),
        ("categorical_crossentropy", 3, "softmax", np.eye(3)[CLASSES], ENTROPY, "shares"),
        (keras.losses.CategoricalCrossentropy(from_logits=True), 3, None, np.eye(3)[CLASSES], ENTROPY, "shares"),
        ("binary_crossentropy", 1, "sigmoid", BINARY, BINARY_ENTROPY, "shares"),
        (keras.losses.BinaryCrossentropy(from_logits=True), 1, None, BINARY, BINARY_ENTROPY, "shares"),
        ("mse", 1, None, AMOUNTS, AMOUNTS.var(), "mean of the labels"),
        (keras.losses.MeanAbsoluteError(), 1, None, AMOUNTS, abs(AMOUNTS - np.median(AMOUNTS)).mean(), "median"),
    ],
)
def test_the_constant_answer_has_the_entropy_or_the_spread_of_the_labels(
    loss, units, activation, labels, expected, answer
):
    model = compiled(loss, L.Dense(units, activation, kernel_regularizer="l2"))
    found = constant_answer(model, as_batches((X, labels), 32))

    assert found.loss == pytest.approx(expected, rel=1e-4)
    assert answer in found.answer


def test_weights_of_samples_and_of_outputs_count():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, {"a": L.Dense(1, name="a")(inputs), "b": L.Dense(3, "softmax", name="b")(inputs)})
    model.compile("sgd", {"a": "mse", "b": "sparse_categorical_crossentropy"}, loss_weights={"a": 2.0, "b": 1.0})
    found = constant_answer(model, as_batches((X, {"a": AMOUNTS, "b": CLASSES}), 32))
    assert found.loss == pytest.approx(2 * AMOUNTS.var() + ENTROPY, rel=1e-4)
    assert found.answer == "the mean of the labels and the shares of the classes"

    weights = (AMOUNTS < 1).astype("float32")
    weighed = constant_answer(compiled("mse", L.Dense(1)), as_batches((X, AMOUNTS, weights), 32))
    assert weighed.loss == pytest.approx(AMOUNTS[AMOUNTS < 1].var() * weights.mean(), rel=1e-4)


def test_nothing_is_said_of_a_loss_that_the_model_makes_itself():
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(y_pred)

    model = Own([L.Input((3,)), L.Dense(1)])
    model.compile("sgd", "mse")

    assert constant_answer(model, as_batches((X, AMOUNTS), 32)) is None
    assert constant_answer(compiled("mse", L.Dense(1)), as_batches((X,), 32)) is None


def behind(base_is_frozen):
    """Return a builder of a network whose first layer sees the third number of a sample alone while it is frozen."""

    def build():
        kernel = keras.initializers.Constant(np.eye(3, 8, -2))
        base = L.Dense(8, "tanh", kernel_initializer=kernel if base_is_frozen else "glorot_uniform")
        base.trainable = not base_is_frozen
        return compiled("sparse_categorical_crossentropy", base, L.Dense(3, "softmax"))

    return build


MANY = np.random.default_rng(1).normal(size=(1024, 3)).astype("float32")
LEARNT = (MANY[:, 0] > 0.5).astype(int) + (MANY[:, 0] > 1)


def test_a_range_test_that_learnt_no_more_than_the_shares_of_the_classes_is_not_sure_of_its_bounds():
    ramp, sizes = lrrt.Ramp(1e-4, 10.0, 100), {"optimizers": ["adam"], "batch_size": 64, "repeats": 1}
    learnt = lrrt.range_test(behind(False), (MANY, LEARNT), ramp=ramp, **sizes)["adam"]
    frozen = lrrt.range_test(behind(True), (MANY, LEARNT), ramp=ramp, **sizes)["adam"]

    assert "always answering" not in learnt.reason
    assert frozen.verdict is not lrrt.Verdict.FOUND
    assert "is hardly better than always answering the shares of the classes, which has a loss of" in frozen.reason


def test_bounds_of_ftrl_say_what_its_first_step_does_to_the_weights():
    for ramp in (None, lrrt.Ramp(1e-2, 10.0, 60)):
        arguments = {"optimizers": ["ftrl"], "batch_size": 64, "repeats": 1, "ramp": ramp}
        bounds = lrrt.range_test(behind(False), (MANY, LEARNT), **arguments)["ftrl"]

        assert bounds.verdict is not lrrt.Verdict.FOUND
        assert "puts nearly 0 in place of the initial weights" in bounds.reason
        assert "a lower start_lr does not change that" in bounds.reason
        assert "; lower start_lr" not in bounds.reason


def test_a_rise_from_the_start_is_no_reason_to_lower_the_rates_of_ftrl():
    lrs = lrrt.Ramp(1e-4, 1.0, 60).rates()
    rising = lrrt.RangeCurve(tuple(lrs), tuple(1 + 5 * (lrs / lrs[0]) ** 0.5))

    assert "; lower start_lr" in lrrt.find_bounds([rising], optimizer="adam").reason
    assert "; lower start_lr" not in lrrt.find_bounds([rising], optimizer="ftrl").reason


def test_bounds_found_where_nothing_was_learnt_are_uncertain():
    found = lrrt.Bounds(0.01, 1.0, 0.1, lrrt.Verdict.FOUND, "bounds found (after 1 curve)")
    answer = constant_answer(behind(False)(), as_batches((MANY, LEARNT), 32))

    def to(part):
        lrs = lrrt.Ramp().rates()
        losses = answer.loss * (1.2 - (1.2 - part) / (1 + (1e-2 / lrs) ** 2))
        return [lrrt.RangeCurve(tuple(lrs), tuple(losses))]

    assert answer.doubted(found, to(0.5)) == found
    hardly = answer.doubted(found, to(0.99))
    assert hardly.verdict is lrrt.Verdict.LOW_CONFIDENCE
    assert ": the lowest loss, " in hardly.reason
    assert "is hardly better than always answering" in hardly.reason
    assert "is no better than always answering" in answer.doubted(found, to(1.01)).reason
    assert "; check the labels, or raise num_steps" in hardly.reason
    dear = replace(answer, label_size=200_000.0)
    assert "; scale the labels to about 1, or raise num_steps" in dear.doubted(found, to(0.99)).reason


def test_a_doubt_that_nothing_was_learnt_outlives_another_length_of_training():
    arguments = {"optimizers": ["adam"], "batch_size": 64, "repeats": 1, "ramp": lrrt.Ramp(1e-4, 10.0, 100)}
    frozen = lrrt.range_test(behind(True), (MANY, LEARNT), **arguments)
    longer = lrrt.RangeTestResult.from_json(frozen.to_json()).for_training(5_000)

    assert longer["adam"].verdict is not lrrt.Verdict.FOUND
    assert longer["adam"].doubt == frozen["adam"].doubt
    assert longer["adam"].doubt in longer["adam"].reason


def test_no_answer_comes_with_a_remedy_where_labels_are_far_from_what_a_network_begins_with():
    """Labels of 5,000 in dollars: no rate that a ramp of 20 steps tries gets SGD near them; labels of 1 are near."""
    reasons = []
    for labels in (5_000 + AMOUNTS, AMOUNTS):
        ramp = lrrt.Ramp(1e-7, 1e-6, 20)
        found = lrrt.range_test(
            lambda: compiled("mae", L.Dense(1)), (X, labels), optimizers=["sgd"], ramp=ramp, repeats=1
        )
        assert found["sgd"].low is None
        reasons.append(found["sgd"].reason)

    assert reasons[0].endswith(
        "; the labels are of the size 5000, and a network begins near 0, so that a ramp may be "
        "too short to come near them: scale the labels to about 1"
    )
    assert "scale" not in reasons[1]
