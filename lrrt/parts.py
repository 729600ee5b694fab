"""Split what `fit` hands to a model into x, y and weights, and put it together again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Batch = Any  # what `fit` hands to a train_step: x, (x,), (x, y) or (x, y, sample_weight)
MAX_PARTS = 3


def as_parts(batch: Batch) -> tuple[Any, ...]:
    """Return x alone, x and y, or x, y and weights; y and weights that are None are left out."""
    parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    while len(parts) > 1 and parts[-1] is None:
        parts = parts[:-1]
    return parts


def as_batch(parts: tuple[Any, ...]) -> Batch:
    """Return parts as `fit` hands arrays to a model: x alone is no tuple, unless it has several arrays itself."""
    is_alone = len(parts) == 1 and not isinstance(parts[0], tuple | list)
    return parts[0] if is_alone else parts


def map_arrays(function: Callable[[Any], Any], part: Any) -> Any:
    """Apply a function to each array of a part: a list of arrays becomes a tuple, another list is an array itself."""
    if isinstance(part, Mapping) and not hasattr(part, "tocoo"):  # one sparse array of SciPy is a mapping as well
        return {key: map_arrays(function, value) for key, value in part.items()}
    if isinstance(part, list | tuple) and _holds_arrays(part):
        return tuple(map_arrays(function, value) for value in part)
    return function(part)


def _holds_arrays(part: Sequence[Any]) -> bool:
    return any(isinstance(item, Mapping) or (hasattr(item, "shape") and len(item.shape) > 0) for item in part)
