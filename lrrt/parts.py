"""Split what `fit` hands to a model into x, y and weights, and put it together again."""

from __future__ import annotations

from typing import Any

Batch = Any  # what `fit` hands to a train_step: x, (x,), (x, y) or (x, y, sample_weight)
MAX_PARTS = 3


def as_parts(batch: Batch) -> tuple[Any, ...]:
    """Return x alone, x and y, or x, y and weights."""
    return tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def as_batch(parts: tuple[Any, ...]) -> Batch:
    """Return parts as `fit` hands arrays to a model: x alone is no tuple, unless it has several arrays itself."""
    is_alone = len(parts) == 1 and not isinstance(parts[0], tuple | list)
    return parts[0] if is_alone else parts
