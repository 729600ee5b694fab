"""Provide the built-in example: scikit-learn's 1,797 handwritten digits and a small dense network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def build_model() -> keras.Model:
    """Build and compile two dense layers with dropout for images of 8 x 8 pixels."""
    from keras import Sequential, layers

    model = Sequential(
        [
            layers.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def load_data() -> dict[str, tuple[Any, Any]]:
    """Return images of shape (n, 64) in 0..1 and labels 0..9: 60 % to train on, 20 % to validate, 20 % to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    x, x_test, y, y_test = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    return {"train": (x_train, y_train), "validation": (x_val, y_val), "test": (x_test, y_test)}
