"""MNIST as Keras fetches it (a network is needed the first time), with the article's convolutional network.

lrrt init --example mnist && lrrt run mnist.toml
"""

from __future__ import annotations

import keras
import numpy as np
from convnet import build_model

__all__ = ["build_model", "load_data"]

NUM_VALIDATION = 6_000


def load_data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images of shape (n, 28, 28, 1) in 0..1 and labels 0..9."""
    (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
    x, x_test = (images[..., None].astype("float32") / 255 for images in (x, x_test))
    return {
        "train": (x[:-NUM_VALIDATION], y[:-NUM_VALIDATION]),
        "validation": (x[-NUM_VALIDATION:], y[-NUM_VALIDATION:]),
        "test": (x_test, y_test),
    }
