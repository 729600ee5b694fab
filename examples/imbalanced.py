"""Few positives: is a handwritten digit an eight? One in ten is, so that always saying no is right nine times in ten.

Classes count by their weight in training, and trials are scored by the area under the precision-recall curve.

    lrrt init --example imbalanced && lrrt run imbalanced.toml
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

LOOKED_FOR, NUM_TEST = 8, 360


def build_model() -> keras.Model:
    """Build and compile a small network that says how likely an eight is."""
    model = keras.Sequential(
        [layers.Input((64,)), layers.Dense(16, activation="relu"), layers.Dense(1, activation="sigmoid")]
    )
    area = keras.metrics.AUC(curve="PR", name="pr_auc")
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=[area])
    return model


def load_data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images of shape (n, 64) in 0..1 and whether each is an eight, 0 or 1; lrrt holds some out, by class."""
    images, digits = load_digits(return_X_y=True)
    x, y = (images / 16).astype("float32"), (digits == LOOKED_FOR).astype("int32")
    x, x_test, y, y_test = train_test_split(x, y, test_size=NUM_TEST, stratify=y, random_state=0)
    return {"train": (x, y), "test": (x_test, y_test)}
