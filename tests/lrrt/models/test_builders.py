"""Builders of models make a new one at each call, or are refused before anything is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import lrrt
from lrrt import Loops
from lrrt.batches import as_batches
from lrrt.models import complete
from lrrt.variables import all_variables, read
from studies import Trainer, TrialConfig

RNG = np.random.default_rng(0)
X, Y = RNG.random((8, 3), np.float32), RNG.random((8, 1), np.float32)
REFUSED = r"must make a new model at each call, .*, got '.*' in two models. Make all layers inside the function"


def compiled(*layers):
    model = keras.Sequential([keras.layers.Input((3,)), *layers])
    model.compile("sgd", "mse")
    return model


def weights_of(model):
    return [np.array(value) for value in read(model.variables)]


def test_a_builder_that_returns_the_same_model_twice_is_refused_and_its_model_left_alone():
    model = compiled(keras.layers.Dense(1))
    before = weights_of(model)

    with pytest.raises(ValueError, match=REFUSED):
        lrrt.range_test(lambda: model, (X, Y), batch_size=4)
    for got, value in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(got, value)


def test_a_builder_that_ignores_its_hyperparameters_is_refused_for_the_same_model():
    model = compiled(keras.layers.Dense(1))

    def build(hp):
        hp.Int("units", 1, 3)
        return model

    with pytest.raises(ValueError, match=REFUSED):
        Loops(build, (X, Y), optimizers=["sgd"], batch_size=4)


def test_models_that_are_the_same_for_other_hyperparameters_are_refused():
    models = {}

    def build(hp):
        units = hp.Int("units", 1, 3)
        return compiled(keras.layers.Dense(1)) if units == 1 else models.setdefault(units, compiled())

    loops = Loops(build, (X, Y), optimizers=["sgd"], batch_size=4, validation_data=(X, Y))
    models[2] = compiled(keras.layers.Dense(1))
    with pytest.raises(ValueError, match=REFUSED):
        Trainer(loops, epochs=1).train(TrialConfig("sgd", "fixed", 0.1, 4, own=(("units", 2),)))


@pytest.mark.parametrize("layer", [keras.layers.Dense(2), keras.layers.Dropout(0.5)], ids=["weights", "seeds"])
def test_models_that_share_what_training_changes_are_refused(layer):
    with pytest.raises(ValueError, match=REFUSED):
        Loops(lambda: compiled(layer, keras.layers.Dense(1)), (X, Y), optimizers=["sgd"], batch_size=4)


def test_models_may_share_what_is_frozen():
    frozen = keras.layers.Dense(2, trainable=False)
    loops = Loops(lambda: compiled(frozen, keras.layers.Dense(1)), (X, Y), optimizers=["sgd"], batch_size=4)

    assert len(loops.initial_weights(1)) == 4


def test_a_compiled_model_starts_each_repeat_from_its_own_weights():
    model = compiled(keras.layers.Dense(1))
    loss = model.evaluate(X, Y, verbose=0)
    doubtful = lrrt.Ramp(1e-7, 10.0, 8)
    curves = lrrt.range_test(model, (X, Y), optimizers=["sgd"], batch_size=8, ramp=doubtful).curves["sgd"]

    assert [curve.losses[0] for curve in curves] == pytest.approx([loss] * 3, rel=1e-5)


def recurrent():
    model = keras.Sequential(
        [keras.layers.Input(batch_shape=(2, 4, 3)), keras.layers.LSTM(2, stateful=True), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def test_variables_that_a_model_does_not_list_are_among_all_of_them():
    class Counting(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.count = tf.Variable(0.0)

    model = recurrent()
    counting = Counting()
    both = keras.Sequential([keras.layers.Input(batch_shape=(2, 4, 3)), counting, *model.layers])

    assert {id(one) for one in all_variables(model)} > {id(state) for state in model.layers[0].states}
    assert len(all_variables(model)) == len(model.variables) + 2
    assert len(all_variables(both)) == len(both.variables) + 3


def test_no_metric_is_among_all_variables():
    assert len(all_variables(compiled(keras.layers.Dense(1)))) == 2


def test_states_are_what_they_were_after_a_model_is_completed():
    """A call builds the metrics; it must not begin a sequence."""
    x = RNG.random((2, 4, 3), np.float32)
    batches, fresh, begun = as_batches((x, Y[:2]), 2), recurrent(), recurrent()
    not_built = keras.Sequential([keras.layers.LSTM(2, stateful=True), keras.layers.Dense(1)])
    not_built.compile("sgd", "mse")
    begun(x)
    states = [np.array(state) for state in begun.layers[0].states]
    for model in (fresh, begun, not_built):
        complete(model, batches)

    assert all(metric.variables for metric in fresh.metrics)
    for model in (fresh, not_built):
        np.testing.assert_array_equal(np.array(model.layers[0].states), np.zeros((2, 2, 2)))
    np.testing.assert_array_equal(np.array(begun.layers[0].states), states)
    assert np.any(states)


def test_a_stateful_model_that_is_passed_is_left_as_it_was_found():
    x = RNG.random((4, 4, 3), np.float32)
    model = recurrent()
    model(x[:2])
    before = [np.array(value) for value in read(all_variables(model))]
    lrrt.range_test(model, (x, Y[:4]), optimizers=["sgd"], batch_size=2, repeats=1)

    for variable, value in zip(all_variables(model), before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)


def test_a_trained_model_is_handed_out_with_its_states_reset_and_an_optimizer_that_is_fresh_for_it():
    """It is then what is loaded again: states are not saved."""
    x = RNG.random((4, 4, 3), np.float32)
    loops = Loops(recurrent, (x, Y[:4]), optimizers=["schedulefreeadamw"], batch_size=2, validation_data=(x[:2], Y[:2]))
    trainer = Trainer(loops, epochs=2)
    trained = trainer.train(TrialConfig("schedulefreeadamw", "fixed", 0.1, 2))
    model = trainer.as_trained(trained.result, trained.best_weights)

    np.testing.assert_array_equal(np.array(model.layers[0].states), 0)
    momentums = [one for one in model.optimizer.variables if one.name.endswith("momentum")]
    for momentum, weight in zip(momentums, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(np.array(momentum), np.array(weight))
