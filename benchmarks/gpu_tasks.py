"""The four trainings that are measured on a GPU: from a step that is hardly any work to mixed precision."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import convnet

from lrrt import Loops

RATE = 1e-3
layers = keras.layers
SPARSE = "sparse_categorical_crossentropy"
NUM_CLASSES = 10
Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Task:
    """What is trained, on random data of the right shape: only the time counts."""

    build_model: Callable[[], keras.Model]
    shape: tuple[int, ...]
    batch_size: int
    num_samples: int
    epochs: int = 4

    def data(self, num_samples: int | None = None) -> Arrays:
        """Return inputs and labels that have something to do with each other."""
        rng = np.random.default_rng(0)
        labels = rng.integers(0, NUM_CLASSES, num_samples or self.num_samples).astype("int32")
        bright = labels.reshape(-1, *[1] * len(self.shape)) / NUM_CLASSES
        return (rng.random((len(labels), *self.shape)) + bright).astype("float32"), labels


def digits_mlp() -> keras.Model:
    """Two dense layers on 8 x 8 images."""
    model = keras.Sequential(
        [layers.Input((64,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(NUM_CLASSES, "softmax")]
    )
    model.compile("adam", SPARSE)
    return model


def resnet() -> keras.Model:
    """Three stages of residual blocks with BatchNorm, in mixed precision."""
    policy = keras.DTypePolicy("mixed_float16")

    def convolved(x: keras.KerasTensor, width: int, stride: int = 1) -> keras.KerasTensor:
        x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False, dtype=policy)(x)
        return layers.BatchNormalization(dtype=policy)(x)

    inputs = layers.Input((32, 32, 3))
    x = layers.ReLU(dtype=policy)(convolved(inputs, 32))
    for width, stride in ((32, 1), (64, 2), (128, 2)):
        for block in range(2):
            step = stride if block == 0 else 1
            skipped = x if (step, x.shape[-1]) == (1, width) else convolved(x, width, step)
            within = layers.ReLU(dtype=policy)(convolved(x, width, step))
            x = layers.ReLU(dtype=policy)(layers.Add(dtype=policy)([convolved(within, width), skipped]))
    outputs = layers.Dense(NUM_CLASSES, "softmax", dtype="float32")(layers.GlobalAveragePooling2D(dtype=policy)(x))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), SPARSE)
    return model


def transformer() -> keras.Model:
    """Two blocks of attention over 64 steps of 32 numbers."""
    inputs = layers.Input((64, 32))
    x = layers.Dense(64)(inputs)
    for _ in range(2):
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(4, 16)(x, x)]))
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(64)(layers.Dense(256, "gelu")(x))]))
    outputs = layers.Dense(NUM_CLASSES, "softmax")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, outputs)
    model.compile("adam", SPARSE)
    return model


TASKS = {
    "digits MLP": Task(digits_mlp, (64,), 32, 1_437, epochs=12),
    "the article's convnet": Task(convnet.build_model, (28, 28, 1), 250, 10_000),
    "ResNet, BatchNorm, mixed precision": Task(resnet, (32, 32, 3), 128, 10_000),
    "small transformer": Task(transformer, (64, 32), 64, 10_000),
}


def loops_of(task: Task) -> Loops:
    """Return the loops of a task."""
    validation = task.data(max(task.num_samples // 10, task.batch_size))
    return Loops(
        task.build_model, task.data(), optimizers=["adam"], batch_size=task.batch_size, validation_data=validation
    )
