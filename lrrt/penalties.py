"""Tell what penalties add to a model's loss: L1, L2 and other regularizers, of weights and of activities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrrt.steps import has_step_of_its_own

if TYPE_CHECKING:
    import keras


def penalty_of(model: keras.Model, *, of_activities: bool = True) -> Any:
    """Return the part of the loss that regularizers add, a scalar tensor; 0.0 if the model makes its loss itself.

    What a layer adds with `add_loss` is no penalty, unless the layer has a regularizer of activities as well.

    Args:
        model: a model whose last call was that of the batch in question, in the same graph.
        of_activities: whether regularizers of activities count, which depend on the batch.
    """
    from keras import ops

    if has_step_of_its_own(model):
        return 0.0
    penalties = [weight.regularizer(weight) for weight in model.trainable_weights if weight.regularizer is not None]
    for layer in model._flatten_layers() if of_activities else ():
        if getattr(layer, "activity_regularizer", None) is not None:
            penalties += layer._get_own_losses()
    return sum((ops.cast(ops.sum(one), "float32") for one in penalties), 0.0)
