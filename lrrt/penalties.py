"""Tell what penalties add to a model's loss: L1, L2 and other regularizers, of weights and of activities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrrt.steps import has_step_of_its_own

if TYPE_CHECKING:
    import keras


def penalty_of(model: keras.Model) -> Any:
    """Return the part of the loss that regularizers add, a scalar tensor; 0.0 if the model makes its loss itself.

    What a layer adds with `add_loss` is no penalty, unless the layer has a regularizer of activities as well.

    Args:
        model: if `has_activity_penalty`, its last call must be that of the batch in question, in the same graph.
    """
    from keras import ops

    if has_step_of_its_own(model):
        return 0.0
    penalties = [weight.regularizer(weight) for weight in model.trainable_weights if weight.regularizer is not None]
    for layer in _penalised(model):
        penalties += layer._get_own_losses()
    return sum((ops.cast(ops.sum(one), "float32") for one in penalties), 0.0)


def has_activity_penalty(model: keras.Model) -> bool:
    """Say whether a layer of a model adds a penalty for its activities, which depends on the batch."""
    return bool(_penalised(model)) and not has_step_of_its_own(model)


def _penalised(model: keras.Model) -> list[keras.Layer]:
    layers = model._flatten_layers()
    return [layer for layer in layers if getattr(layer, "activity_regularizer", None) is not None]
