"""What a fresh optimizer knows: all that its pattern does, and nothing of other weights."""

import keras
import numpy as np
import pytest

from lrrt import Loops
from lrrt.optimizers import CACHES, as_optimizers, fresh_optimizer, optimizer_like
from lrrt.variables import read
from studies import LoopCache, Trainer, TrialConfig

X, Y = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")


def build_model():
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, bias_initializer="ones")])
    model.compile("sgd", "mse")
    return model


class Counting(keras.optimizers.SGD):
    """Has a variable before it is built."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.count = keras.Variable(0.0)


def without_decay_of_biases():
    optimizer = keras.optimizers.SGD(weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


class Centred(keras.optimizers.SGD):
    """Has an argument that its config leaves out."""

    def __init__(self, *arguments, centre=0.0, **options):
        super().__init__(*arguments, **options)
        self.centre = centre


def decays(optimizer, model):
    """Say of each weight whether the optimizer decays it."""
    return {variable.name: optimizer._use_weight_decay(variable) for variable in model.trainable_variables}


@pytest.mark.parametrize(
    "make",
    [
        lambda loops: loops.get("sgd").optimizer,
        lambda loops: LoopCache(loops).loop_of(TrialConfig("sgd", "fixed", 0.1, 8, weight_decay=0.2)).optimizer,
        lambda loops: LoopCache(loops).loop_of(TrialConfig("sgd", "fixed", 0.1, 8, momentum=0.8)).optimizer,
        lambda loops: TrialConfig("sgd", "fixed", 0.1, 8, momentum=0.8).with_own_values(loops.patterns["sgd"]),
    ],
    ids=["as it is", "searched weight decay", "searched momentum", "of a trial's model"],
)
def test_what_is_excluded_from_weight_decay_stays_excluded(make):
    loops = Loops(build_model, (X, Y), optimizers={"sgd": without_decay_of_biases()}, batch_size=8)

    assert decays(make(loops), loops.model) == {"kernel": True, "bias": False}


def test_a_step_decays_no_weight_that_is_excluded():
    loops = Loops(build_model, (X, Y), optimizers={"sgd": without_decay_of_biases()}, batch_size=8)
    loop = loops.get("sgd")
    kernel, bias = (np.array(value) for value in loops.initial_weights(0))
    loop.restart([kernel, bias])
    loop.train([0.1])
    gradient = 2 * (kernel.sum() + bias)

    np.testing.assert_allclose(loop.model.trainable_variables[1], bias - 0.1 * gradient, rtol=1e-5)
    np.testing.assert_allclose(loop.model.trainable_variables[0], 0.95 * kernel - 0.1 * gradient, rtol=1e-5)


def test_variables_of_another_model_cannot_be_excluded_from_weight_decay():
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_list=build_model().trainable_variables[1:])

    with pytest.raises(
        ValueError, match=r"must name variables of the model .*, got 1 of another .* 'adamw'. Name them by"
    ):
        Loops(build_model, (X, Y), optimizers=[optimizer], batch_size=8)


def test_variables_of_the_model_that_is_passed_are_excluded_from_weight_decay():
    model, optimizer = build_model(), keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_list=model.trainable_variables[1:])
    loops = Loops(model, (X, Y), optimizers=[optimizer], batch_size=8)

    assert decays(loops.get("adamw").optimizer, model) == {"kernel": True, "bias": False}


def test_an_attribute_that_a_config_leaves_out_is_copied():
    pattern = Centred(centre=3.0, momentum=0.9)
    made = fresh_optimizer(pattern, 0.5)

    assert (made.centre, made.momentum, float(made.learning_rate), made.built) == (3.0, 0.9, 0.5, False)
    assert optimizer_like(pattern, momentum=0.1).momentum == 0.1


def test_nothing_of_a_training_is_copied_from_a_pattern_that_has_trained():
    model, pattern = build_model(), without_decay_of_biases()
    model.compile(pattern, "mse")
    model.fit(X, Y, verbose=0)
    made = fresh_optimizer(pattern)
    other = build_model()
    made.build(other.trainable_variables)

    assert int(made.iterations) == 0
    assert not {id(one) for one in made.variables} & {id(one) for one in pattern.variables}
    assert CACHES[0] in vars(pattern)
    assert CACHES[0] not in vars(fresh_optimizer(pattern))
    assert decays(made, other) == {"kernel": True, "bias": False}


def test_each_optimizer_has_variables_of_its_own():
    pattern = Counting()
    pattern.count.assign(3.0)
    made = fresh_optimizer(pattern)

    assert float(made.count) == 0
    assert any(one is made.count for one in made.variables)


def test_an_optimizer_that_cannot_be_made_from_its_config_is_refused():
    class Needs(keras.optimizers.SGD):
        def __init__(self, centre, **options):
            super().__init__(**options)

    with pytest.raises(TypeError, match=r"get_config must return all .*, got Needs: .*centre.*. Return them from"):
        as_optimizers([Needs(1.0)])


def scaled():
    model = build_model()
    inner = keras.optimizers.SGD()
    model.compile(keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0, dynamic_growth_steps=7), "mse")
    return model


def test_a_loss_scale_is_that_of_the_model_before_and_after_a_trained_one_is_handed_out():
    loops = Loops(scaled, (X, Y), optimizers=["sgd", "adam"], batch_size=8, validation_data=(X, Y))
    trainer = Trainer(loops, epochs=1)
    trained = trainer.train(TrialConfig("sgd", "fixed", 0.01, 8))
    saved = trainer.as_trained(trained.result, trained.best_weights).optimizer
    later = loops.get("adam").optimizer

    for optimizer in (saved, later, fresh_optimizer(saved)):
        assert (optimizer.initial_scale, optimizer.dynamic_growth_steps) == (4.0, 7)
    assert [type(one.inner_optimizer).__name__ for one in (saved, later)] == ["SGD", "Adam"]
    assert float(fresh_optimizer(saved, 0.5).learning_rate) == 0.5


def test_fresh_values_that_copy_the_weights_are_those_of_the_run_s_weights():
    loops = Loops(build_model, (X, Y), optimizers=["schedulefreeadamw"], batch_size=8)
    loop = loops.get("schedulefreeadamw")
    weights = [np.array([[3.0], [4.0]], "float32"), np.array([5.0], "float32")]
    before = read(loops.model.variables)
    loop.restart(weights)
    momentums = [one for one in loop.optimizer.variables if one.name.endswith("momentum")]

    for momentum, weight in zip(momentums, weights, strict=True):
        np.testing.assert_array_equal(momentum, weight)
    assert [np.array(value).tolist() for value in before] != [weight.tolist() for weight in weights]


def test_making_a_loop_leaves_the_weights_of_a_model_alone():
    model = build_model()
    before = [np.array(value) for value in read(model.variables)]
    Loops(model, (X, Y), optimizers=["schedulefreeadamw"], batch_size=8).get("schedulefreeadamw")

    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
