"""The article's convolutional network on 4,000 images of Fashion-MNIST: a task whose cost is arithmetic."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import fashion_mnist  # an example, which the path above leads to
from fashion_mnist import build_model

__all__ = ["build_model", "load_data"]


def load_data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return 4,000 images to train on and 1,000 to validate."""
    data = fashion_mnist.load_data(num_samples=4_000)
    x, y = data["validation"]
    return {"train": data["train"], "validation": (x[:1_000], y[:1_000])}
