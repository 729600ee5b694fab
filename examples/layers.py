"""Breast cancer as scikit-learn ships it, with a KerasTuner HyperModel that chooses how many layers there are.

lrrt init --example layers && lrrt run layers.toml
"""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

NUM_TEST = 114


class Layers(keras_tuner.HyperModel):
    """One to three layers, each with a width of its own and, where it helps, dropout."""

    def build(self, hp: Any) -> keras.Model:
        """Return a compiled model; the widths of layers that are not there are not searched."""
        model = keras.Sequential([keras.layers.Input((30,))])
        for layer in range(hp.Int("layers", 1, 3)):
            model.add(keras.layers.Dense(hp.Int(f"units_{layer}", 8, 64, step=8), "relu"))
        if hp.Boolean("dropout"):
            model.add(keras.layers.Dropout(hp.Float("rate", 0.1, 0.5)))
        model.add(keras.layers.Dense(1, "sigmoid"))
        optimizer = keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"))
        model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
        return model


def load_data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return 30 standardised measurements of each tumour, shape (n, 30), and whether it is benign."""
    x, y = load_breast_cancer(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x.astype("float32"), y, test_size=NUM_TEST, stratify=y, random_state=0)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    return {"train": ((x - mean) / deviation, y), "test": ((x_test - mean) / deviation, y_test)}
