"""Take data that comes in batches of its own: datasets, PyDatasets and generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.class_weights import check_class_weight, weighted
from lrrt.counting import count_batches
from lrrt.generators import check_batch, from_generator, from_sequence
from lrrt.parts import Batch, as_parts
from lrrt.stream import StreamBatches

if TYPE_CHECKING:
    import tensorflow as tf


def is_stream(data: Any) -> bool:
    """Say whether data comes in batches of its own."""
    import keras
    import tensorflow as tf

    return isinstance(data, tf.data.Dataset | keras.utils.PyDataset | Iterator)


def stream_batches(data: Any, *, name: str = "data", class_weight: Mapping[int, float] | None = None) -> StreamBatches:
    """Take data that comes in batches of its own.

    Args:
        data: a batched `tf.data.Dataset`, with an end or without; a `keras.utils.PyDataset`; or a generator of batches,
            which is read once and must last for all range tests.
        name: what messages call the data.
        class_weight: the weight of each class's samples, for labels that are class numbers or one-hot.

    Raises:
        TypeError: for a batch of an unknown kind.
        ValueError: for data without a batch, or batches that are not x, (x,), (x, y) or (x, y, sample_weight), or that
            do not fit the class weights.
    """
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        stream = _from_dataset(data, name)
    else:
        stream = from_generator(data, name) if isinstance(data, Iterator) else from_sequence(data, name)
    return stream if class_weight is None else _with_weights(stream, class_weight)


def _from_dataset(dataset: tf.data.Dataset, name: str) -> StreamBatches:
    import tensorflow as tf

    _check_is_batched(dataset, name)
    known = int(dataset.cardinality())
    firsts = list(dataset.take(1))
    if not firsts:
        raise ValueError(f"{name} must hold at least one batch, got an empty tf.data.Dataset.")
    check_batch(firsts[0], name)

    @cache
    def count() -> int | None:
        if known == tf.data.UNKNOWN_CARDINALITY:
            return count_batches(dataset, name)
        return None if known == tf.data.INFINITE_CARDINALITY else known

    def open_stream(num_steps: int, rng: np.random.Generator | None) -> tf.data.Dataset:
        return dataset if 0 < num_steps <= known else dataset.repeat()

    return StreamBatches(dataset.element_spec, open_stream, count, firsts[0], name)


def _check_is_batched(dataset: tf.data.Dataset, name: str) -> None:
    """Refuse a dataset of single samples, which has a scalar, or arrays whose first axes differ, in an element.

    One whose axes are not even counted is refused as well, since no layer can be traced on it.
    """
    import keras

    shapes = [spec.shape for spec in keras.tree.flatten(dataset.element_spec)]
    if any(shape.rank is None for shape in shapes):
        raise ValueError(
            f"{name} must give batches of a known number of axes, got a tf.data.Dataset of shapes "
            f"{', '.join(map(str, shapes))}. Give from_generator an output_signature, or call "
            "tf.ensure_shape(x, (None, 4)) in the function of .map."
        )
    sizes = {shape[0] for shape in shapes if shape.rank}
    if any(shape.rank == 0 for shape in shapes) or (None not in sizes and len(sizes) > 1):
        raise ValueError(
            f"{name} must give batches, got a tf.data.Dataset of single samples, of shapes "
            f"{', '.join(map(str, shapes))}. Call .batch(32) on it."
        )


def _with_weights(stream: StreamBatches, class_weight: Mapping[int, float]) -> StreamBatches:
    name = f"the first batch of {stream.name}"
    check_class_weight(class_weight, as_parts(stream.first), name)

    def weigh(*batch: Any) -> Batch:
        return weighted(batch, class_weight, stream.name)

    def open_stream(num_steps: int, rng: np.random.Generator | None) -> Any:
        return stream.open_stream(num_steps, rng).map(weigh)

    spec = open_stream(1, None).element_spec
    return replace(stream, element_spec=spec, open_stream=open_stream, first=weigh(*stream.first))
