"""Fashion-MNIST from its four idx files, with the article's convolutional network.

    apt-get install dataset-fashion-mnist        # or set FASHION_MNIST to a folder that holds the four files
    lrrt init --example fashion_mnist && lrrt run fashion_mnist.toml

FASHION_MNIST_SAMPLES trains on so many of the 54,000 images, for a quick look.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
from convnet import build_model

__all__ = ["build_model", "load_data"]

FOLDER = "/usr/share/datasets/fashion-mnist"  # where Debian's package puts them
NUM_VALIDATION = 6_000
IDX_UNSIGNED_BYTE = 8


def load_data(folder: str | None = None, num_samples: int | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images of shape (n, 28, 28, 1) in 0..1 and labels 0..9.

    Args:
        folder: holds the idx files, gzipped or not; by default what FASHION_MNIST names, or Debian's folder.
        num_samples: how many images to train on; by default what FASHION_MNIST_SAMPLES says, or all.
    """
    root = Path(folder or os.environ.get("FASHION_MNIST", FOLDER))
    limit = num_samples or int(os.environ.get("FASHION_MNIST_SAMPLES", "0")) or None
    x, y = _images(root, "train"), read_idx(root / "train-labels-idx1-ubyte").astype("int32")
    x_test, y_test = _images(root, "t10k"), read_idx(root / "t10k-labels-idx1-ubyte").astype("int32")
    num_validation = min(NUM_VALIDATION, limit or NUM_VALIDATION)
    return {
        "train": (x[:-NUM_VALIDATION][:limit], y[:-NUM_VALIDATION][:limit]),
        "validation": (x[-num_validation:], y[-num_validation:]),
        "test": (x_test, y_test),
    }


def read_idx(path: Path) -> np.ndarray:
    """Read one idx file of unsigned bytes, gzipped or not: a magic number, the lengths of its axes, the values.

    Raises:
        FileNotFoundError: where there is neither the file nor its .gz.
        ValueError: where it is not such a file, or is cut short.
    """
    packed = path.with_name(path.name + ".gz")
    if packed.exists():
        content = gzip.decompress(packed.read_bytes())
    elif path.exists():
        content = path.read_bytes()
    else:
        raise FileNotFoundError(
            f"{path.name} or {packed.name} must be in {path.parent}. Install Debian's dataset-fashion-mnist, or set "
            "FASHION_MNIST to a folder that holds the idx files."
        )
    if len(content) < 4 or content[:3] != bytes([0, 0, IDX_UNSIGNED_BYTE]):
        raise ValueError(f"{path.name} must be an idx file of unsigned bytes, it begins with {content[:4]!r}.")
    header = 4 * (1 + content[3])
    shape = np.frombuffer(content[4:header], ">u4")
    values = np.frombuffer(content, np.uint8, offset=header)
    if len(values) != np.prod(shape):
        raise ValueError(f"{path.name} must hold {np.prod(shape)} values, got {len(values)}.")
    return values.reshape(shape)


def _images(root: Path, part: str) -> np.ndarray:
    images: np.ndarray = read_idx(root / f"{part}-images-idx3-ubyte")[..., None].astype("float32") / 255
    return images
