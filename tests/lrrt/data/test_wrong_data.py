"""Wrong data says that it is wrong, before anything else is said or done."""

import datetime

import keras
import numpy as np
import pytest

import lrrt
from tests.lrrt.notes import Notes

L = keras.layers
X, Y = np.random.default_rng(0).random((16, 6)).astype("float32"), np.arange(16) % 3


def dense(**arguments):
    model = keras.Sequential([L.Input((6,)), L.Dense(3, "softmax")])
    model.compile("sgd", **{"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | arguments)
    return model


def two_outputs():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, [L.Dense(1, name="a")(inputs), L.Dense(1, name="b")(inputs)])
    model.compile("sgd", ["mse", "mse"], metrics=[["mae"], ["mae"]])
    return model


def named_output():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, {"kind": L.Dense(3, "softmax", name="kind")(inputs), "size": L.Dense(1)(inputs)})
    model.compile("sgd", {"kind": "sparse_categorical_crossentropy"})
    return model


def measured_everywhere():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, {"a": L.Dense(1, name="a")(inputs), "b": L.Dense(1, name="b")(inputs)})
    model.compile("sgd", {"a": "mse", "b": None}, metrics={"a": ["mae"]})
    return model


def runs_on_symbols_only():
    def call(x):
        if hasattr(x, "numpy"):
            raise RuntimeError("no room")
        return x

    model = keras.Sequential([L.Input((6,)), L.Lambda(call), L.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def binary():
    model = keras.Sequential([L.Input((6,)), L.Dense(1, "sigmoid")])
    model.compile("sgd", keras.losses.BinaryCrossentropy())
    return model


@pytest.mark.parametrize(
    ("build_model", "data", "message"),
    [
        (dense, X, "data must have labels, since the model is compiled with a loss, got x alone"),
        (dense, (X[:, :5], Y), r"got x of shape \(None, 5\), for inputs of shape \(None, 6\)"),
        (dense, (X.astype(str), Y), r"\(UnimplementedError: Cast string to float is not supported\)"),
        (dense, ({"a": X, "b": X}, Y), "data must be what the model's inputs take"),
        (dense, (X, Y + 1), r"The labels of data must lie in 0\.\.2"),
        (
            runs_on_symbols_only,
            (X, Y),
            r"must run on a batch of data, whose shape .* but it raised RuntimeError: no room",
        ),
        (two_outputs, (X, Y), r"labels that the model's loss takes, got y of shape \(None,\) for outputs of shape"),
        (two_outputs, (X, Y), "Give as many y as the model has outputs, 2, got 1"),
        (lambda: dense(loss="categorical_crossentropy"), (X, np.eye(4)[Y]), r"got y of shape \(None, 4\) for outputs"),
        (
            lambda: dense(loss="categorical_crossentropy"),
            (X, Y),
            "Class numbers go with sparse_categorical_crossentropy",
        ),
        (dense, (X, np.eye(3)[Y]), "One-hot labels go with categorical_crossentropy"),
        (named_output, (X, {"kind": Y + 1, "size": X[:, 0]}), r"The labels of data must lie in 0\.\.2, one for each"),
        (binary, (X, Y), "must lie from 0 to 1 for a binary_crossentropy, got labels from 0 to 2"),
        (dense, (X, Y, np.ones((16, 2))), r"labels and weights that .*, got y of shape \(None,\) and weights of shape"),
        (
            measured_everywhere,
            (X, {"a": Y}),
            r"that the model's metrics take, got y of a \(None,\) for outputs of .*'b'",
        ),
        (dense, ((X, Y), (X[:8], Y[:8])), r"Of \(x, y\), \(x_test, y_test\), pass one pair as data"),
    ],
)
def test_data_that_does_not_fit_the_model_is_refused_first_of_all(build_model, data, message):
    watcher = Notes()
    with pytest.raises(ValueError, match=message):
        lrrt.range_test(build_model, data, batch_size=4, watcher=watcher)
    assert watcher.notes == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, Y.astype(str)), r"must be numbers, got text: '0'. Number the classes, such as with numpy.unique"),
        ((np.array([datetime.date(2020, 1, 1)] * 16), Y), r"of date objects: .* such as seconds since a date"),
        ((np.array([{}] * 16), Y), r"of dict objects: {}. Turn each of them into numbers"),
    ],
)
def test_what_are_no_numbers_is_refused_with_a_remedy_that_holds(data, message):
    with pytest.raises(TypeError, match=message):
        lrrt.range_test(dense, data, batch_size=4)


def test_labels_that_a_loss_ignores_may_be_any_number():
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    labels = np.where(np.arange(16) < 4, -1, Y)

    result = lrrt.range_test(lambda: dense(loss=loss), (X, labels), optimizers="sgd", batch_size=4, repeats=1)

    assert len(result.curves["sgd"][0].losses) > 20


def test_validation_data_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"validation_data must be what the model's inputs take, got x of shape"):
        lrrt.range_test(dense, (X, Y), batch_size=4, validation_data=(X[:, 1:], Y))


@pytest.mark.parametrize("keys", [("train",), ("train", "validation"), ("train", "validation", "test", "groups")])
def test_the_dict_of_load_data_is_refused_with_the_remedy(keys):
    data = dict.fromkeys(keys, (X, Y))
    with pytest.raises(
        TypeError, match=r"the dict that a task's load_data returns, .*Pass its parts: data\[\"train\"\]"
    ):
        lrrt.range_test(dense, data)


def test_a_compiled_model_is_left_as_it_was_when_its_data_is_refused():
    model = keras.Sequential([L.Input(batch_shape=(4, 3, 2)), L.LSTM(3, stateful=True), L.Dense(1)])
    model.compile("sgd", "mse")
    sequences = np.ones((16, 3, 2), "float32")
    model.predict(sequences[:4], verbose=0)
    before = [np.array(state) for state in model.layers[0].states]
    with pytest.raises(ValueError, match="data must have labels that the model's loss takes"):
        lrrt.range_test(model, (sequences, np.ones((16, 3, 3, 3))), batch_size=4)

    np.testing.assert_array_equal([np.array(state) for state in model.layers[0].states], before)


@pytest.mark.parametrize(
    ("optimizers", "message"),
    [
        ([keras.optimizers.Adam], r"got the class Adam. Call it: Adam\(\)"),
        (
            keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.SGD())),
            "one learning rate, which is set at each step, got a MultiOptimizer",
        ),
        (
            keras.optimizers.LossScaleOptimizer(
                keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.SGD()))
            ),
            "one learning rate, which is set at each step, got a MultiOptimizer",
        ),
    ],
)
def test_what_is_no_optimizer_with_one_rate_is_refused_by_name(optimizers, message):
    with pytest.raises(TypeError, match=message):
        lrrt.range_test(dense, (X, Y), optimizers=optimizers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"loss": "sparse_crossentropy"},
            r"loss must .*'sparse_crossentropy'\. Did you mean 'sparse_categorical_cross",
        ),
        ({"metrics": ["accuray"]}, r"metrics must be ones that Keras knows, got 'accuray'\. Did you mean 'accuracy'\?"),
    ],
)
def test_a_name_that_keras_does_not_know_is_no_fault_of_the_labels(arguments, message):
    with pytest.raises(ValueError, match=message):
        lrrt.range_test(dense(**arguments), (X, Y), optimizers=["sgd"], batch_size=4)
