"""Text as data: models that begin with TextVectorization or StringLookup are tested on it, whatever it comes in."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import lrrt
from lrrt.batches import as_batches

L = keras.layers
TEXTS = [text for text in ("a good film", "a bad film", "so good", "so bad") for _ in range(8)]
LABELS = np.array(["good" in text for text in TEXTS], "int32")
RAMP = lrrt.Ramp(1e-2, 0.5, 12)


def reader():
    """Build a model whose first layer splits text into words."""
    vectorization = L.TextVectorization(max_tokens=20, output_sequence_length=3)
    vectorization.adapt(TEXTS)
    inputs = keras.Input((), dtype="string")
    hidden = L.GlobalAveragePooling1D()(L.Embedding(20, 4)(vectorization(inputs)))
    model = keras.Model(inputs, L.Dense(2, "softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def lookup():
    """Build a model of a text feature and a number."""
    inputs = {"colour": keras.Input((1,), name="colour", dtype="string"), "size": keras.Input((1,), name="size")}
    one_hot = L.StringLookup(vocabulary=["red", "blue"], output_mode="one_hot")(inputs["colour"])
    model = keras.Model(inputs, L.Dense(1)(L.Concatenate()([one_hot, inputs["size"]])))
    model.compile("sgd", "mse")
    return model


FRAME = pd.DataFrame({"colour": ["red", "blue", "green", "red"] * 8, "size": np.arange(32.0) / 32})
SIZES = np.where(FRAME["colour"] == "red", 1.0, 0.0).astype("float32") + FRAME["size"].to_numpy()


def losses_of(build_model, data, **arguments):
    options = {"optimizers": ["sgd"], "ramp": RAMP, "batch_size": 8, "repeats": 1} | arguments
    return lrrt.range_test(build_model, data, **options).curves["sgd"][0].losses


def lists():
    return TEXTS, LABELS


def objects():
    return np.array(TEXTS, object), LABELS


def unicodes():
    return np.array(TEXTS), LABELS


def tensors():
    return tf.constant(TEXTS), LABELS


def of_any_length():
    return np.array(TEXTS).astype(np.dtypes.StringDType()), LABELS


def series():
    return pd.Series(TEXTS).to_numpy(), LABELS


@pytest.mark.parametrize("make", [lists, objects, unicodes, tensors, of_any_length, series])
def test_text_in_arrays_of_every_kind_becomes_the_same_text_on_the_device(make):
    text, _ = as_batches(make(), 8).arrays

    assert text.dtype == tf.string
    assert text.numpy().tolist() == [one.encode() for one in TEXTS]


@pytest.mark.parametrize("make", [lists, tensors])
def test_text_in_arrays_is_trained_on(make):
    losses = losses_of(reader, make())

    assert losses[-1] < losses[0]


def in_order():
    return tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        return np.array(TEXTS[8 * number : 8 * number + 8]), LABELS[8 * number : 8 * number + 8]


def generator():
    while True:
        for start in range(0, 32, 8):
            yield np.array(TEXTS[start : start + 8], object), LABELS[start : start + 8]


@pytest.mark.parametrize("make", [in_order, Sequence, generator])
def test_text_in_batches_is_trained_on_and_validated_on(make):
    losses = losses_of(reader, make(), validation_data=in_order(), monitor="val_loss")

    assert np.isfinite(losses).all()
    assert len(losses) == 12


def test_a_step_on_text_does_what_fit_does():
    weights = {}
    for name in ("fit", "lrrt"):
        keras.utils.set_random_seed(0)
        model = reader()
        if name == "fit":
            model.optimizer.learning_rate = 0.1
            model.fit(in_order(), epochs=2, shuffle=False, verbose=0)
        else:
            lrrt.Loops(model, in_order(), optimizers=["sgd"]).get("sgd").train([0.1] * 8)
        weights[name] = model.get_weights()

    for got, expected in zip(weights["lrrt"], weights["fit"], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "as_dict",
    [
        dict,
        lambda frame: {name: frame[name].to_numpy() for name in frame},
        lambda frame: {name: frame[name].tolist() for name in frame},
        lambda frame: dict(frame.astype({"colour": "category"})),
    ],
    ids=["series", "arrays", "lists", "categories"],
)
def test_a_table_with_text_is_a_dict_of_its_columns(as_dict):
    losses = losses_of(lookup, (as_dict(FRAME), SIZES))

    assert losses[-1] < losses[0]


def test_a_data_frame_of_text_only_is_one_array():
    frame = pd.DataFrame({"first": ["red", "blue"] * 16, "second": ["blue", "blue"] * 16})
    inputs = keras.Input((2,), dtype="string")
    one_hot = L.StringLookup(vocabulary=["red", "blue"], output_mode="multi_hot")(inputs)
    model = keras.Model(inputs, L.Dense(1)(one_hot))
    model.compile("sgd", "mse")

    assert len(losses_of(model, (frame, SIZES))) == 12


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (FRAME, TypeError, r"numbers or text in one array, got both in a DataFrame. Give each column to an input"),
        (["red", None] * 16, ValueError, r"a value in every row, got None in sample 1. Fill it"),
        (pd.Series(["red", "blue", float("nan"), "red"] * 8), ValueError, "got nan in sample 2"),
        (pd.Series(["red", None] * 16, dtype="string"), ValueError, "got <NA> in sample 1"),
        (np.array([{"a": 1}] * 32), TypeError, "of numbers or of text, got ndarray of dict objects"),
        (
            np.array([1, 2.5] * 16, object),
            TypeError,
            r'of int objects: 1. Convert them, such as with .astype\("float32"\)',
        ),
        ([[1, 2], [3]] * 16, TypeError, r"rows that differ in length.*Pad them with keras.utils.pad_sequences"),
        (np.array([[1, 2], [3]] * 16, object), TypeError, "rows that differ in length. Pad them"),
        (np.array([1, 2, None, 4] * 8, object), ValueError, "got None in sample 2. Fill it"),
        (np.array(["2020-01-01"] * 32, "datetime64[D]"), TypeError, r"got an array of datetime64\[D\]. Turn it into"),
        (np.ones(32, complex), TypeError, "got an array of complex128. Give real and imaginary parts as columns"),
        (np.zeros(32, [("a", "f4"), ("b", "f4")]), TypeError, "Give each field to an input of its own"),
    ],
)
def test_objects_that_are_no_text_are_refused_with_the_remedy(x, error, message):
    with pytest.raises(error, match=message):
        as_batches((x, SIZES), 8)


def test_text_for_labels_is_refused():
    with pytest.raises(TypeError, match="Labels and weights of data must be numbers, got text: 'a good film'"):
        as_batches((SIZES, TEXTS), 8)
