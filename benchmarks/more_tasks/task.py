"""Give a task of the oracle its form: a model, a loss, real data in arrays, and how long it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(1e-3),
    "momentum": lambda: keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(1e-3),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-3),
    "adagrad": lambda: keras.optimizers.Adagrad(1e-3),
    "lion": lambda: keras.optimizers.Lion(1e-3),
}
VALIDATION = 0.25

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A model's builder, uncompiled, and all that it is trained with."""

    build: Callable[[], keras.Model]
    loss: str
    batch_size: int
    epochs: int
    x: Array
    y: Array
    x_val: Array
    y_val: Array


@dataclass(frozen=True, slots=True)
class Recipe:
    """A task before its data is read; `data` returns inputs and targets."""

    build: Callable[[], keras.Model]
    loss: str
    batch_size: int
    epochs: int
    data: Callable[[], tuple[Array, Array]]

    def load(self) -> Task:
        """Read the data, and split it at random."""
        return Task(self.build, self.loss, self.batch_size, self.epochs, *split(*self.data()))


def loader(recipes: Mapping[str, Recipe]) -> Callable[[str], Task]:
    """Return what gives one of these tasks by its name, with its data.

    It raises a KeyError for an unknown name, and a FileNotFoundError if the data are not installed.
    """
    return lambda name: recipes[name].load()


def split(x: Array, y: Array, seed: int = 7) -> tuple[Array, Array, Array, Array]:
    """Return training inputs and targets, then those for validation."""
    order = np.random.default_rng(seed).permutation(len(x))
    cut = int(len(x) * (1 - VALIDATION))
    return x[order[:cut]], y[order[:cut]], x[order[cut:]], y[order[cut:]]


def sample(x: Array, y: Array, num_samples: int) -> tuple[Array, Array]:
    """Return so many samples, drawn once and always the same."""
    order = np.random.default_rng(0).permutation(len(x))[:num_samples]
    return x[order], y[order]


def standardized(x: Array) -> Array:
    """Give each column mean 0 and standard deviation 1."""
    return ((x - x.mean(0)) / (x.std(0) + 1e-8)).astype("float32")
