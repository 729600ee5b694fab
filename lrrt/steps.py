"""Say how a model trains: through Keras's own steps and `call`, or through steps of its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def has_call(model: keras.Model) -> bool:
    """Say whether a model can be called; one that has only a `train_step` cannot."""
    import keras

    return type(model).call not in (keras.Model.call, keras.Layer.call)


def has_step_of_its_own(model: keras.Model) -> bool:
    """Say whether a model's class has steps or a loss of its own, so that it may take any data."""
    import keras

    steps = ("train_step", "test_step", "compute_loss")
    return any(getattr(type(model), step) is not getattr(keras.Model, step) for step in steps)


def is_stateful(model: keras.Model) -> bool:
    """Say whether layers of a model remember the batch before."""
    import keras

    return any(isinstance(layer, keras.layers.RNN) and layer.stateful for layer in model._flatten_layers())
