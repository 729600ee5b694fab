"""Knows tasks of other kinds than those that the rules were fitted to: text, and images of 28 by 28.

They have the form of the tasks that `bounds_quality.py` reads: `NAMES`, `OPTIMIZERS`, `load(name)`. The text is
Python's own standard library; the images are Fashion-MNIST's, from the folder that FASHION_MNIST names or Debian's
package `dataset-fashion-mnist`.
"""

from __future__ import annotations

import os
import re
import sysconfig
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

layers = keras.layers
NAMES = ("source_lstm", "source_attention", "fashion_cnn")
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(1e-3),
    "momentum": lambda: keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(1e-3),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-3),
    "adagrad": lambda: keras.optimizers.Adagrad(1e-3),
    "lion": lambda: keras.optimizers.Lion(1e-3),
}
PACKAGES = ("asyncio", "email", "unittest", "multiprocessing", "xml", "http", "ctypes", "logging")
NUM_WORDS, WORDS_A_SNIPPET, SNIPPETS_A_PACKAGE = 2_000, 24, 260
NUM_IMAGES = 2_400
VALIDATION = 0.25


@dataclass(frozen=True, slots=True)
class Task:
    """A model's builder, uncompiled, and all that it is trained with."""

    build: Callable[[], keras.Model]
    loss: str
    batch_size: int
    epochs: int
    x: NDArray[np.generic]
    y: NDArray[np.generic]
    x_val: NDArray[np.generic]
    y_val: NDArray[np.generic]


def load(name: str) -> Task:
    """Return one task.

    Raises:
        KeyError: for an unknown name.
    """
    build, batch_size, epochs, data = {
        "source_lstm": (lstm, 32, 6, snippets),
        "source_attention": (attention, 32, 6, snippets),
        "fashion_cnn": (convnet, 64, 5, images),
    }[name]
    return Task(build, "sparse_categorical_crossentropy", batch_size, epochs, *split(*data()))


def lstm() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((WORDS_A_SNIPPET,), dtype="int32"),
            layers.Embedding(NUM_WORDS, 32),
            layers.LSTM(32, unroll=True),  # the same numbers, several times faster on a CPU
            layers.Dense(len(PACKAGES), "softmax"),
        ]
    )


def attention() -> keras.Model:
    words = keras.Input((WORDS_A_SNIPPET,), dtype="int32")
    x = layers.Embedding(NUM_WORDS, 32)(words)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 16)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, "relu")(x)))
    return keras.Model(words, layers.Dense(len(PACKAGES), "softmax")(layers.GlobalAveragePooling1D()(x)))


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


def snippets() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return snippets of 24 words of Python's standard library, as hashed numbers, and the package each is from."""
    root, rng = Path(sysconfig.get_paths()["stdlib"]), np.random.default_rng(0)
    rows = []
    for package in PACKAGES:
        text = "\n".join(path.read_text("utf-8", "replace") for path in sorted((root / package).rglob("*.py")))
        words = [zlib.crc32(word.encode()) % NUM_WORDS for word in re.findall(r"[A-Za-z_]+|[^\sA-Za-z_]", text)]
        starts = rng.integers(0, len(words) - WORDS_A_SNIPPET, SNIPPETS_A_PACKAGE)
        rows.append([words[start : start + WORDS_A_SNIPPET] for start in starts])
    return np.array(rows, "int32").reshape(-1, WORDS_A_SNIPPET), np.repeat(
        np.arange(len(PACKAGES), dtype="int32"), SNIPPETS_A_PACKAGE
    )


def images() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return images in 0..1, shape (n, 28, 28, 1), and their classes."""
    folder = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
    x = np.frombuffer((folder / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    y = np.frombuffer((folder / "train-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    return (x[: NUM_IMAGES * 784].reshape(-1, 28, 28, 1) / 255).astype("float32"), y[:NUM_IMAGES].astype("int32")


def split(x: NDArray[np.generic], y: NDArray[np.generic], seed: int = 7) -> tuple[NDArray[np.generic], ...]:
    """Return training data and validation data, at random."""
    order = np.random.default_rng(seed).permutation(len(x))
    cut = int(len(x) * (1 - VALIDATION))
    return x[order[:cut]], y[order[:cut]], x[order[cut:]], y[order[cut:]]
