"""The batches that the compiled loop takes inside its graph, and the kinds of data that become them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lrrt.arrays import array_batches
from lrrt.parts import Batch
from lrrt.streams import is_stream, stream_batches

if TYPE_CHECKING:
    import tensorflow as tf

LOADED = {"train", "validation", "test", "groups"}  # keys of what `load_data` returns
Data = Any  # arrays, dict or tuple of arrays, tf.data.Dataset, keras.utils.PyDataset, generator of batches


class Batches(Protocol):
    """Batches of one size, cycled as long as asked; `take` runs inside the graph."""

    @property
    def batch_size(self) -> int:
        """Samples a batch; 0 if the data brings its own size."""

    @property
    def signature(self) -> tuple[Any, ...]:
        """The types of what `plan` returns, so that no plan makes the loop trace again."""

    @property
    def element_spec(self) -> Any:
        """The types of what `take` returns; a batch may have any number of rows."""

    @property
    def num_batches(self) -> int:
        """Batches in one epoch.

        Raises:
            ValueError: for data without an end.
        """

    def plan(self, num_steps: int, rng: np.random.Generator | None) -> tuple[Any, ...]:
        """Return what the loop needs to take `num_steps` batches; shuffled by `rng`, in order if it is None."""

    def plans(self, sizes: Sequence[int], rng: np.random.Generator | None, *, begin: int = 0) -> list[tuple[Any, ...]]:
        """Return the plan of one run in parts of these sizes, to be taken in turn from part number `begin` on."""

    def repeatable(self, num_steps: int) -> Batches:
        """Return batches whose runs of `num_steps` all begin with the same; what can be read once only is kept.

        Raises:
            ValueError: if the data ends before, or is too large to be kept.
        """

    def take(self, step: tf.Tensor, *plan: Any) -> Batch:
        """Return batch number `step` of a plan."""

    def sample(self, num_samples: int) -> Batch:
        """Return a small batch: so many samples, if the data does not bring its own size."""


def as_batches(
    data: Data, batch_size: int, *, name: str = "data", class_weight: Mapping[int, float] | None = None
) -> Batches:
    """Turn data of any accepted kind into batches.

    Args:
        data: a tuple (x,), (x, y) or (x, y, sample_weight), each an array or a dict or tuple of arrays with one row a
            sample; x alone; or what gives batches of the same: a tf.data.Dataset, a keras.utils.PyDataset, a generator.
        batch_size: samples a batch; what gives batches brings its own.
        name: what messages call the data.
        class_weight: the weight of each class's samples, for labels that are class numbers or one-hot.

    Raises:
        TypeError: for data of another kind.
        ValueError: for empty data, parts of different lengths, values that are not finite, fewer samples than a batch,
            or class weights that do not fit the labels.
    """
    _check_kind(data, name)
    if is_stream(data):
        return stream_batches(data, name=name, class_weight=class_weight)
    return array_batches(data, batch_size, name=name, class_weight=class_weight)


def _check_kind(data: Data, name: str) -> None:
    """Refuse what is not data, with the remedy if it is clear what was meant."""
    if data is None or isinstance(data, str | bytes | int | float):
        raise TypeError(
            f"{name} must be arrays (x, y), a batched tf.data.Dataset, a keras.utils.PyDataset or a generator of "
            f"batches, got {type(data).__name__}."
        )
    if inspect.isroutine(data):
        called = f"{getattr(data, '__name__', 'function')}()"
        raise TypeError(f"{name} must be data or a generator, got a function. Call it: pass {called}.")
    if isinstance(data, type):
        raise TypeError(f"{name} must be data, got the class {data.__name__}. Pass an instance: {data.__name__}(...).")
    if isinstance(data, Mapping) and "train" in data and set(data) <= LOADED:
        raise TypeError(
            f"{name} must be what is trained on, got the dict that a task's load_data returns, with the keys "
            f'{", ".join(map(repr, data))}. Pass its parts: data["train"], and validation_data=data["validation"].'
        )
