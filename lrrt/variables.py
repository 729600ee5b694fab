"""Read and assign all variables of a model and of its optimizer, so that a run leaves nothing behind for the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Values = Sequence[Any]  # one tensor for each variable, in the variables' order


def all_variables(model: keras.Model) -> list[Any]:
    """Return the variables of a model, followed by those that its layers hold beside them.

    `model.variables` has neither the states of stateful recurrent layers nor a `tf.Variable` that a layer made itself.
    """
    return [*model.variables, *beside(model)]


def beside(model: keras.Model) -> list[Any]:
    """Return the variables of a model's layers that `model.variables` does not have; those of metrics are left out."""
    import keras
    import tensorflow as tf

    listed = {id(variable) for variable in (*model.variables, *model.metrics_variables)}
    others: dict[int, Any] = {}
    for layer in model._flatten_layers():  # Keras has no public way to the layers inside of layers
        attributes = [*vars(layer).values(), *states_of(layer)]
        others |= {id(one): one for one in attributes if isinstance(one, keras.Variable | tf.Variable)}
    return [variable for key, variable in others.items() if key not in listed]


def states_of(layer: keras.Layer) -> list[Any]:
    """Return the states of a stateful recurrent layer; none of any other layer."""
    import keras

    return keras.tree.flatten(layer.states) if isinstance(layer, keras.layers.RNN) and layer.stateful else []


def read(variables: Sequence[Any]) -> Values:
    """Copy the values of variables, on the device."""
    import tensorflow as tf

    return [tf.identity(variable) for variable in variables]


def assign(variables: Sequence[Any], values: Values) -> None:
    """Give variables these values, in their order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class FreshOptimizer:
    """The values that an optimizer begins a run with.

    An optimizer may begin with copies of the weights that it is built for (ScheduleFreeAdamW does). So it is built
    while the weights are noise: what is equal to the noise of a weight is a copy of that weight.

    Args:
        optimizer: not yet built.
        model: a built model, whose weights are afterwards what they were.
    """

    def __init__(self, optimizer: keras.Optimizer, model: keras.Model) -> None:
        weights = model.trainable_variables
        before = read(weights)
        noise = [np.random.default_rng(index).random(weight.shape, np.float32) for index, weight in enumerate(weights)]
        try:
            assign(weights, noise)
            optimizer.build(weights)
            self._values = read(optimizer.variables)
            self._copied = self._find_copies(read(weights), [id(one) for one in weights], model)
        finally:
            assign(weights, before)

    def values(self, weights: Values) -> Values:
        """Return the values that are fresh for these values of `all_variables`."""
        return [
            weights[self._copied[index]] if index in self._copied else value for index, value in enumerate(self._values)
        ]

    def _find_copies(self, noise: Values, keys: Sequence[int], model: keras.Model) -> dict[int, int]:
        """Return the place in `all_variables` of the weight that each value is a copy of, where it is one."""
        places = {id(variable): place for place, variable in enumerate(model.variables)}
        of_bytes = {np.asarray(value).tobytes(): places[key] for value, key in zip(noise, keys, strict=True)}
        contents = enumerate(np.asarray(value).tobytes() for value in self._values)
        return {index: of_bytes[content] for index, content in contents if content in of_bytes}
