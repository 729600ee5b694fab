"""Give the metrics of a model the names that they have in a process that builds one model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def rename_metrics(model: keras.Model) -> None:
    """Rename the metrics that Keras named: it numbers them through all models of a process, "auc", "auc_1", "auc_2".

    Those of one class are numbered from the first in this model, so that "val_auc" means the same in every model. Names
    that the user gave stay.
    """
    by_class: dict[str, list[Any]] = {}
    for metric in _flat(model.metrics):
        by_class.setdefault(_snake_case(type(metric).__name__), []).append(metric)
    for base, metrics in by_class.items():
        numbers = {number: metric for metric in metrics if (number := _number(metric.name, base)) is not None}
        for place, number in enumerate(_counted_last(base, sorted(numbers))):
            numbers[number].name = f"{base}_{place}" if place else base


def _counted_last(base: str, numbers: list[int]) -> list[int]:
    """Return the numbers if they are the last that Keras gave to this name; others are the user's."""
    import keras

    if not any(numbers):
        return []
    end = keras.backend.get_uid(base) - 1  # it counts on, which only leaves out a number
    return [number for number in numbers if end - len(numbers) <= number < end]


def _flat(metrics: list[Any]) -> Iterator[Any]:
    for metric in metrics:
        inner = getattr(metric, "metrics", None)
        if inner is None:
            yield metric
        else:
            yield from _flat(inner)


def _number(name: str, base: str) -> int | None:
    """Return the number after a name: 0 for "auc", 2 for "auc_2"; None for another name."""
    match = re.fullmatch(rf"{re.escape(base)}(?:_(\d+))?", name)
    return None if match is None else int(match[1] or 0)


def _snake_case(name: str) -> str:
    """Return a class's name as Keras writes it: AUC is "auc", F1Score is "f1_score"."""
    inner = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", inner).lower()
