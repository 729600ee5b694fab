"""Class weights weigh as in `fit`, whatever the data and the labels; what they do not fit is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import lrrt
from lrrt.batches import as_batches

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.random((24, 4), np.float32)
Y = np.arange(24) % 3
WEIGHTS = {0: 1.0, 1: 3.0, 2: 0.5}
IMAGES = RNG.random((24, 4, 4, 1), np.float32)
MASKS = RNG.integers(0, 3, (24, 4, 4, 1))


def weights_in(data, class_weight=WEIGHTS):
    batches = as_batches(data, 24, class_weight=class_weight)
    return np.array(batches.take(0, *batches.plan(1, None))[2])


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(24)


def generator(*arrays):
    return iter([arrays, arrays])


class Whole(keras.utils.PyDataset):
    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 1

    def __getitem__(self, number):
        return self.arrays


def arrays(*parts):
    return parts


KINDS = pytest.mark.parametrize("kind", [arrays, dataset, generator, Whole])


@KINDS
@pytest.mark.parametrize(
    "labels", [Y, Y[:, None], Y.astype("float32"), np.eye(3)[Y]], ids=["1d", "2d", "float", "1hot"]
)
def test_each_sample_has_the_weight_of_its_class(kind, labels):
    np.testing.assert_array_equal(weights_in(kind(X, labels)), np.array([1.0, 3.0, 0.5])[Y])


@KINDS
@pytest.mark.parametrize("labels", [MASKS, np.eye(3)[MASKS[..., 0]]], ids=["numbers", "one-hot"])
def test_each_pixel_has_the_weight_of_its_class(kind, labels):
    np.testing.assert_array_equal(weights_in(kind(IMAGES, labels)), np.array([1.0, 3.0, 0.5])[MASKS[..., 0]])


@KINDS
def test_weights_of_samples_are_multiplied(kind):
    given = RNG.random(24).astype("float32")

    np.testing.assert_allclose(weights_in(kind(X, Y[:, None], given)), np.array([1.0, 3.0, 0.5])[Y] * given, rtol=1e-6)
    pixels = weights_in(kind(IMAGES, MASKS, given))
    np.testing.assert_allclose(pixels[5], np.array([1.0, 3.0, 0.5])[MASKS[5, ..., 0]] * given[5], rtol=1e-6)


@KINDS
@pytest.mark.parametrize("labels", [MASKS[..., 0], RNG.integers(0, 2, (24, 3))], ids=["masks", "several labels"])
def test_labels_that_are_several_classes_are_refused_by_shape(kind, labels):
    with pytest.raises(ValueError, match=r"one class a label, got labels of shape \(24, .*Give class numbers"):
        weights_in(kind(X, labels))


@pytest.mark.parametrize("class_weight", [{"cat": 1.0}, {}, [1.0, 2.0]])
def test_class_weights_without_class_numbers_are_refused(class_weight):
    with pytest.raises(TypeError, match=r"`class_weight` must be \{class: weight\}, with class numbers"):
        as_batches((X, Y), 8, class_weight=class_weight)


def test_a_class_without_a_weight_ends_the_training_where_it_comes_later():
    labels = np.array([0] * 12 + [3] * 12)
    data = tf.data.Dataset.from_tensor_slices((X, labels)).batch(12)
    batches = as_batches(data, 12, class_weight={0: 1.0})
    plan = batches.plan(2, None)
    batches.take(0, *plan)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have a weight for each class of data"):
        batches.take(1, *plan)


def segmenter():
    model = keras.Sequential([L.Input((4, 4, 1)), L.Conv2D(3, 1, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_a_training_on_a_dataset_is_that_of_fit_with_the_same_class_weights():
    data = tf.data.Dataset.from_tensor_slices((IMAGES, MASKS)).batch(8)
    trained = []
    for is_ours in (True, False):
        keras.utils.set_random_seed(0)
        model = segmenter()
        if is_ours:
            lrrt.Loops(model, data, optimizers=["sgd"], class_weight=WEIGHTS).get("sgd").train([0.1] * 3)
        else:
            model.optimizer.learning_rate = 0.1
            model.fit(data, class_weight=WEIGHTS, shuffle=False, verbose=0)
        trained.append(model.get_weights())

    for got, expected in zip(*trained, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)
