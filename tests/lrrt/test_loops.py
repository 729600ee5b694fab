"""What is true of model, data and optimizers on their way into the loops."""

import random
from itertools import chain

import keras
import numpy as np
import pytest
import tensorflow as tf

from lrrt import Loops
from lrrt.batches import as_batches
from lrrt.optimizers import as_optimizers, fresh_optimizer

X = np.arange(24, dtype="float32").reshape(12, 2)
Y = np.arange(12) % 3


def build_model():
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def seen_in(batches, num_steps, seed):
    plan = batches.plan(num_steps, np.random.default_rng(seed))
    return [batches.take(step, *plan)[1].numpy().tolist() for step in range(num_steps)]


def test_each_epoch_holds_every_sample_once_in_an_order_of_its_own():
    batches = as_batches((X, np.arange(12)), 5)
    seen = seen_in(batches, 6, seed=0)

    assert [len(batch) for batch in seen] == [5, 5, 2, 5, 5, 2]
    assert sorted(chain(*seen[:3])) == sorted(chain(*seen[3:])) == list(range(12))
    assert seen[:3] != seen[3:]


def test_the_order_comes_from_the_seed():
    batches = as_batches((X, np.arange(12)), 5)

    assert seen_in(batches, 4, seed=1) == seen_in(batches, 4, seed=1) != seen_in(batches, 4, seed=2)


def test_a_run_in_parts_takes_the_batches_of_a_whole_one():
    batches = as_batches((X, np.arange(12)), 5)
    parts = batches.plans([2, 1, 3], np.random.default_rng(0))
    seen = [
        batches.take(step, *plan)[1].numpy().tolist()
        for size, plan in zip([2, 1, 3], parts, strict=True)
        for step in range(size)
    ]

    assert seen == seen_in(batches, 6, seed=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X[:0], Y[:0]), "data must not be empty, got 0 samples"),
        ((X, Y[:-1]), "All parts of data must have one length, got 12, 11 samples"),
        ((list(X), Y), r"must have one length, got 2, 12 samples\..* one for each sample, pass numpy.stack"),
        (
            (np.where(X == 6, np.nan, X), Y),
            "data must be finite, got NaN or infinity in 1 of 12 samples, first in sample 3",
        ),
        ((X, Y, Y, Y), r"data must be \(x,\), \(x, y\) or \(x, y, sample_weight\), got 4 parts"),
        ((X[:4], Y[:4]), "`batch_size` must not exceed the samples of data, got batch_size=5 for 4 samples"),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(5).take(0), "at least one batch, got an empty"),
    ],
)
def test_bad_data_is_refused_with_what_is_wrong(data, message):
    with pytest.raises(ValueError, match=message):
        as_batches(data, 5)


@pytest.mark.parametrize("data", [None, 3, "mnist", object()])
def test_data_of_an_unknown_kind_is_refused(data):
    with pytest.raises(TypeError, match=r"data must (be|hold) arrays"):
        as_batches(data, 5)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_a_batch_size_that_is_no_count_is_refused(batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a whole number >= 1, got"):
        as_batches((X, Y), batch_size)


@pytest.mark.parametrize("labels", [Y - 1, Y + 1])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(ValueError, match=r"labels of data must lie in 0\.\.2, one for each of the model's 3 outputs"):
        Loops(build_model, (X, labels), optimizers=["sgd"], batch_size=4)


def test_a_model_that_is_not_compiled_is_refused():
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="The model must be compiled, got 'sequential"):
        Loops(lambda: model, (X, Y), optimizers=["sgd"], batch_size=4)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (3, "A model must be a function that builds one or a compiled keras.Model, got 3"),
        (lambda: "model", "must return a compiled keras.Model, got str"),
        (lambda a, b: None, "must take no argument, or one .KerasTuner's hp., got one that needs a, b"),
    ],
)
def test_what_builds_no_model_is_refused(model, message):
    with pytest.raises(TypeError, match=message):
        Loops(model, (X, Y), optimizers=["sgd"], batch_size=4)


def test_a_builder_that_takes_hyperparameters_gets_their_defaults():
    def build(hp):
        model = keras.Sequential(
            [keras.layers.Input((2,)), keras.layers.Dense(hp.Int("units", 3, 9)), keras.layers.Dense(3, "softmax")]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    assert Loops(build, (X, Y), optimizers=["sgd"], batch_size=4).model.layers[0].units == 3


def test_initial_weights_are_those_of_a_model_built_under_the_seed():
    loops = Loops(build_model, (X, Y), optimizers=["sgd"], batch_size=4)
    random.seed(7)
    expected = build_model().get_weights()

    for got, value in zip(loops.initial_weights(7), expected, strict=True):
        np.testing.assert_array_equal(got, value)


def test_drawing_weights_leaves_the_global_seeds_alone():
    loops = Loops(build_model, (X, Y), optimizers=["sgd"], batch_size=4)
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    loops.initial_weights(3)

    assert (random.random(), np.random.random()) == expected


def test_a_misspelt_optimizer_is_met_with_the_one_meant():
    with pytest.raises(ValueError, match=r"must be one that Keras knows, got 'adan'. Did you mean 'adam'\?"):
        as_optimizers(["adan"])


def test_every_optimizer_of_keras_has_a_name():
    names = [name for name in dir(keras.optimizers) if name[0].isupper() and "Optimizer" not in name]

    assert {type(made).__name__ for made in as_optimizers(names).values()} == set(names)


def test_an_optimizer_s_config_names_it_as_it_does_in_compile():
    config = {"class_name": "SGD", "config": {"momentum": 0.9}}

    for optimizers in (config, [config], {"sgd": config}):
        (made,) = as_optimizers(optimizers).items()
        assert (made[0], made[1].momentum) == ("sgd", 0.9)
    assert config["class_name"] == "SGD"


@pytest.mark.parametrize(
    ("optimizers", "error", "message"),
    [
        ([], ValueError, "must name at least one optimizer, got none"),
        (["sgd", "SGD"], ValueError, "label of its own, got 'sgd' twice"),
        ([3], TypeError, "must be a name or a Keras optimizer, got int: 3"),
    ],
)
def test_what_names_no_optimizer_is_refused(optimizers, error, message):
    with pytest.raises(error, match=message):
        as_optimizers(optimizers)


def test_a_fresh_optimizer_is_like_its_pattern_and_holds_the_rate_given():
    pattern = keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), momentum=0.8, nesterov=True
    )
    made = fresh_optimizer(pattern, 0.25)

    assert (made.momentum, made.nesterov, float(made.learning_rate), made.built) == (0.8, True, 0.25, False)
    assert not pattern.built
