"""A time series with an LSTM: the next value of one EEG channel from the last 24 values of all four.

The recording is real, and comes with Matplotlib, so that no network is needed. It is split by time: what is validated
and tested on comes after what is trained on.

lrrt init --example series && lrrt run series.toml
"""

from __future__ import annotations

import keras
import numpy as np
from matplotlib import cbook

NUM_CHANNELS = 4
WINDOW = 24  # values that are seen before the one that is predicted
TRAIN_END, VALIDATION_END = 0.6, 0.8  # of the recording


def load_data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return windows of shape (n, 24, 4) and the first channel's next value, shape (n, 1), scaled by the training's."""
    with cbook.get_sample_data("eeg.dat") as file:
        values = np.frombuffer(file.read(), float).reshape(-1, NUM_CHANNELS).astype("float32")
    first, second = int(TRAIN_END * len(values)), int(VALIDATION_END * len(values))
    values = (values - values[:first].mean(axis=0)) / values[:first].std(axis=0)
    parts = {"train": values[:first], "validation": values[first:second], "test": values[second:]}
    return {name: _windows(part) for name, part in parts.items()}


def build_model() -> keras.Model:
    """Return an LSTM whose last state predicts the next value."""
    model = keras.Sequential(
        [keras.layers.Input((WINDOW, NUM_CHANNELS)), keras.layers.LSTM(16), keras.layers.Dense(1)], name="series"
    )
    model.compile(loss="mse", metrics=["mae"])
    return model


def _windows(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a part of the series into overlapping windows, none of which reaches into another part."""
    windows = np.lib.stride_tricks.sliding_window_view(values[:-1], WINDOW, axis=0)
    return windows.transpose(0, 2, 1), values[WINDOW:, :1]
