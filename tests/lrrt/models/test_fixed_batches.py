"""Models made for batches of one size are trained and validated in batches of that size."""

import keras
import numpy as np
import pytest

import lrrt

L = keras.layers
X = np.random.default_rng(0).random((64, 3, 2)).astype("float32")
Y = X.sum(axis=(1, 2))[:, None]
OPTIONS = {"optimizers": ["sgd"], "ramp": lrrt.Ramp(1e-3, 0.1, 8), "repeats": 1}


def stateful():
    model = keras.Sequential([L.Input(batch_shape=(16, 3, 2)), L.LSTM(4, stateful=True), L.Dense(1)])
    model.compile("sgd", "mse")
    return model


def unbuilt():
    model = keras.Sequential([L.LSTM(4, stateful=True), L.Dense(1)])
    model.compile("sgd", "mse")
    return model


def reshaped():
    """Build a model whose layers name the number of samples."""
    inputs = keras.Input(batch_shape=(16, 3, 2))
    flat = L.Lambda(lambda x: keras.ops.reshape(x, (16, 6)))(inputs)
    model = keras.Model(inputs, L.Dense(1)(flat))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("build_model", "monitor"),
    [(stateful, "loss"), (stateful, "val_loss"), (unbuilt, "val_loss"), (reshaped, "val_loss")],
)
def test_a_model_of_one_batch_size_is_trained_and_validated_in_it(build_model, monitor):
    result = lrrt.range_test(
        build_model, (X, Y), batch_size=16, validation_data=(X, Y), monitor=monitor, confirm_steps=2, **OPTIONS
    )

    assert np.isfinite(result.curves["sgd"][0].losses).all()


def test_a_model_that_remembers_the_batch_before_is_trained_in_the_order_of_its_data():
    loops = lrrt.Loops(stateful, (X, Y), optimizers=["sgd"], batch_size=16)
    batches = loops.get("sgd").batches
    plan = batches.plan(8, np.random.default_rng(0))

    np.testing.assert_array_equal(
        [batches.take(step, *plan)[1] for step in range(8)], np.tile(Y, (2, 1)).reshape(8, 16, 1)
    )


def test_its_validation_loss_is_that_of_evaluate():
    model = stateful()
    loops = lrrt.Loops(model, (X, Y), optimizers=["sgd"], batch_size=16, validation_data=(X, Y))
    expected = model.evaluate(X, Y, batch_size=16, verbose=0)
    model.layers[0].reset_states()

    assert loops.get("sgd").validate() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("build_model", [stateful, reshaped])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 8}, "`batch_size` must be 16, since the model takes no other batches, got 8"),
        ({"data": (X[:50], Y[:50])}, "data must have a multiple of 16 samples, .* got 50. Leave 2 out"),
        (
            {"validation_data": (X[:20], Y[:20])},
            "validation_data must have a multiple of 16 samples, .* got 20. Leave 4",
        ),
    ],
)
def test_data_that_makes_no_whole_batches_is_refused(build_model, arguments, message):
    arguments = {"data": (X, Y), "batch_size": 16} | arguments
    with pytest.raises(ValueError, match=message):
        lrrt.range_test(build_model, **arguments, **OPTIONS)


def test_a_model_whose_inputs_name_a_size_that_no_layer_needs_takes_every_batch():
    def build_model():
        model = keras.Sequential([L.Input(batch_shape=(16, 3, 2)), L.Flatten(), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    result = lrrt.range_test(build_model, (X[:50], Y[:50]), batch_size=8, **OPTIONS)

    assert np.isfinite(result.curves["sgd"][0].losses).all()
