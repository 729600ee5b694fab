"""Make tasks of images: Fashion-MNIST's, classified and encoded.

They are read from the folder that FASHION_MNIST names or that of Debian's package `dataset-fashion-mnist`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from more_tasks.installed import read_bytes
from more_tasks.task import Array, Recipe

layers = keras.layers
NUM_CODES = 6
NUM_PIXELS = 14 * 14


def convnet() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, "softmax"),
        ]
    )


def convnet_with_batch_norm() -> keras.Model:
    """Build a network without biases, as it is usual before BatchNorm."""
    blocks = [
        make
        for filters in (8, 16)
        for make in (
            layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        )
    ]
    return keras.Sequential(
        [layers.Input((14, 14, 1)), *blocks, layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")]
    )


class Sampled(layers.Layer):
    """Draw codes from their distribution while training, and add how far that is from the standard normal one."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, mean: Any, log_variance: Any, training: bool = False) -> Any:
        divergence = 0.5 * (keras.ops.square(mean) + keras.ops.exp(log_variance) - 1 - log_variance)
        self.add_loss(keras.ops.mean(keras.ops.sum(divergence, axis=1)) / NUM_PIXELS)  # as the loss, for each pixel
        if not training:
            return mean
        return mean + keras.ops.exp(0.5 * log_variance) * keras.random.normal(keras.ops.shape(mean), seed=self.seeds)


def variational_autoencoder() -> keras.Model:
    pixels = keras.Input((NUM_PIXELS,))
    x = layers.Dense(64, "relu")(pixels)
    x = Sampled()(layers.Dense(NUM_CODES)(x), layers.Dense(NUM_CODES)(x))
    return keras.Model(pixels, layers.Dense(NUM_PIXELS, "sigmoid")(layers.Dense(64, "relu")(x)))


def images(num_images: int = 2_400) -> tuple[Array, Array]:
    """Return images in 0..1, shape (n, 28, 28, 1), and their classes."""
    folder = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
    x = np.frombuffer(read_bytes(folder / "train-images-idx3-ubyte"), np.uint8, offset=16)
    y = np.frombuffer(read_bytes(folder / "train-labels-idx1-ubyte"), np.uint8, offset=8)
    return (x[: num_images * 784].reshape(-1, 28, 28, 1) / 255).astype("float32"), y[:num_images].astype("int32")


def small_images() -> tuple[Array, Array]:
    """Return images of half the width and height, shape (n, 14, 14, 1), and their classes."""
    x, y = images(6_000)
    return x.reshape(-1, 14, 2, 14, 2, 1).mean((2, 4)), y


def small_pixels() -> tuple[Array, Array]:
    """Return small images as rows of pixels, twice: what goes in shall come out."""
    x = images(16_000)[0].reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, NUM_PIXELS)
    return x, x


TASKS = {
    "fashion_cnn": Recipe(convnet, "sparse_categorical_crossentropy", 64, 5, images),
    "fashion_cnn_bn": Recipe(convnet_with_batch_norm, "sparse_categorical_crossentropy", 32, 8, small_images),
    "fashion_vae": Recipe(variational_autoencoder, "binary_crossentropy", 32, 14, small_pixels),
}
