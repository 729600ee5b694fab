"""What is true of models that cannot run in a graph: range tests train them through `model.fit`."""

from functools import cache

import keras
import numpy as np
import pytest

import lrrt
from lrrt.confirmation import try_rates
from tests.lrrt.notes import Notes

X = np.random.default_rng(0).normal(size=(80, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int32")
RAMP = lrrt.Ramp(1e-2, 10.0, 12)
HELD = X[:40], Y[:40]


class Untraceable(keras.Sequential):
    """Its step reads a value in Python, which has none in a graph."""

    def train_step(self, data):
        logs = super().train_step(data)
        return {name: np.float32(value.numpy()) for name, value in logs.items()}


def builder(kind=keras.Sequential, **options):
    def build():
        layers = [keras.layers.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2, "softmax")]
        model = kind(layers)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
        return model

    return build


def run_range_test(build_model, data=(X, Y), **arguments):
    options = {"optimizers": ["sgd"], "ramp": RAMP, "batch_size": 16, "repeats": 1, "validation_data": HELD}
    return lrrt.range_test(build_model, data, **options | arguments)


@cache
def compiled_curve(monitor):
    heard = Notes()
    (curve,) = run_range_test(builder(), monitor=monitor, watcher=heard).curves["sgd"]
    assert heard.notes == []
    return curve


@pytest.mark.parametrize(
    ("build_model", "reason"),
    [
        (builder(run_eagerly=True), "the model was compiled with run_eagerly=True"),
        (builder(Untraceable), "the model's train_step cannot run in a graph (AttributeError: "),
    ],
)
@pytest.mark.parametrize(
    "monitor", ["val_accuracy", *(pytest.param(name, marks=pytest.mark.long) for name in ("loss", "accuracy"))]
)
def test_a_model_that_cannot_be_traced_shows_the_curve_that_a_compiled_one_shows(build_model, reason, monitor):
    heard = Notes()
    (curve,) = run_range_test(build_model, monitor=monitor, watcher=heard).curves["sgd"]
    compiled = compiled_curve(monitor)

    np.testing.assert_allclose(curve.losses, compiled.losses, rtol=1e-4)
    np.testing.assert_allclose(curve.monitored, compiled.monitored, rtol=1e-4)
    (note,) = heard.notes
    assert note.startswith(f"range tests go through model.fit, which takes many times longer: {reason}")


@pytest.mark.long
def test_short_trainings_at_constant_rates_show_what_they_show_in_a_compiled_loop():
    all_loops = [
        lrrt.Loops(build, (X, Y), optimizers=["adam"], batch_size=16, validation_data=HELD)
        for build in (builder(Untraceable), builder())
    ]
    seen, compiled = (
        try_rates(loops.get("adam"), loops.initial_weights(0), [0.01, 0.1], num_steps=3) for loops in all_loops
    )

    assert [loops.num_traces["adam", 16] for loops in all_loops] == [0, 1]
    np.testing.assert_allclose(seen.val_losses, compiled.val_losses, rtol=1e-4)
    np.testing.assert_allclose(seen.train_losses, compiled.train_losses, rtol=1e-4)


def test_one_note_is_enough_for_several_optimizers_and_batch_sizes():
    heard = Notes()
    arguments = {"optimizers": ["sgd", "adam"], "batch_sizes": [16, 40], "ramp": lrrt.Ramp(num_steps=2)}
    assert len(run_range_test(builder(run_eagerly=True), watcher=heard, **arguments).bounds) == 4
    assert len(heard.notes) == 1


def batches(count):
    return (pair for _ in range(count) for pair in [(X[:16], Y[:16]), (X[16:24], Y[16:24])])


@pytest.mark.long
def test_it_is_trained_on_a_generator_for_as_long_as_that_lasts():
    (curve,) = run_range_test(builder(Untraceable), batches(6)).curves["sgd"]
    (compiled,) = run_range_test(builder(), batches(6)).curves["sgd"]

    np.testing.assert_allclose(curve.losses, compiled.losses, rtol=1e-4)
    with pytest.raises(ValueError, match="The data must last for 2 more steps, but it ended before"):
        run_range_test(builder(Untraceable), batches(5))


def test_it_is_left_as_it_was_found():
    model = builder(Untraceable)()
    weights, found = model.get_weights(), (model.optimizer, model.run_eagerly, model.train_function)
    run_range_test(model, ramp=lrrt.Ramp(1e-2, 10.0, 4))

    np.testing.assert_equal(model.get_weights(), weights)
    assert (model.optimizer, model.run_eagerly, model.train_function) == found


@pytest.mark.parametrize("kind", [Untraceable, keras.Sequential])
def test_a_train_step_without_a_loss_is_named_and_not_sent_through_fit(kind, caplog):
    class Silent(kind):
        def train_step(self, data):
            return {"accuracy": super().train_step(data)["accuracy"]}

    with pytest.raises(ValueError, match='must return a dict with the key "loss", got accuracy'):
        run_range_test(builder(Silent))
    assert ("go through model.fit" in caplog.text) == (kind is Untraceable)


def test_who_asks_for_no_notes_finds_them_in_the_log(caplog):
    run_range_test(builder(run_eagerly=True), ramp=lrrt.Ramp(num_steps=2))
    assert [record.getMessage() for record in caplog.records] == [
        "range tests go through model.fit, which takes many times longer: the model was compiled with run_eagerly=True"
    ]
