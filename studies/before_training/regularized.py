"""Tell whether a model's loss holds penalties, which trials that differ by the model's values are ranked without."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

WITHOUT_PENALTIES = (
    "the models have regularizers, whose strength may differ from trial to trial: losses are recorded, and trials "
    "ranked, without these penalties"
)


def is_regularized(model: keras.Model) -> bool:
    """Say whether a layer of a model adds a penalty for its weights or its activities."""
    return any(map(_adds_penalty, model._flatten_layers()))


def _adds_penalty(layer: keras.layers.Layer) -> bool:
    weights = getattr(layer, "trainable_weights", ())
    return bool(layer.activity_regularizer) or any(weight.regularizer is not None for weight in weights)
