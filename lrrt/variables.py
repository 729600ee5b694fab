"""Read and assign all variables of a model and of its optimizer, so that a run leaves nothing behind for the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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


def members(value: Any) -> Iterable[Any]:
    """Return what a list, tuple, set or dict holds; of anything else, that alone."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple | set) else [value]


def num_parameters(model: keras.Model) -> int:
    """Count the numbers in a model's weights, also of one without `call`, which Keras never calls built."""
    return sum(math.prod(weight.shape) for weight in model.weights)


def states_of(layer: keras.Layer) -> list[Any]:
    """Return the states of a stateful recurrent layer; none of any other layer."""
    import keras

    return keras.tree.flatten(layer.states) if isinstance(layer, keras.layers.RNN) and layer.stateful else []


def read(variables: Sequence[Any]) -> Values:
    """Copy the values of variables, on the device."""
    import tensorflow as tf

    return [tf.identity(variable) for variable in variables]


def assign(variables: Sequence[Any], values: Values) -> None:
    """Give variables these values, in their order, outside of graphs."""
    import keras

    for variable, value in zip(variables, values, strict=True):
        inner = variable.value if isinstance(variable, keras.Variable) else variable  # Keras takes twice as long
        inner.assign(value, read_value=False)


def assign_weights(model: keras.Model, weights: Values) -> None:
    """Give all variables of a model these values, the states of its recurrent layers reset."""
    assign(all_variables(model), weights)
    states = [state for layer in model._flatten_layers() for state in states_of(layer)]
    assign(states, [np.zeros(state.shape) for state in states])


class FreshOptimizer:
    """The values that an optimizer begins a run with.

    An optimizer may begin with copies of the weights that it is built for (ScheduleFreeAdamW does). So it is built
    while the weights are noise: what is equal to the noise of a weight is a copy of that weight.

    Args:
        optimizer: not yet built.
        model: a built model, whose weights are afterwards what they were.
    """

    def __init__(self, optimizer: keras.Optimizer, model: keras.Model) -> None:
        places = {id(variable): place for place, variable in enumerate(model.variables)}
        weights = model.trainable_variables
        before = read(weights)
        try:
            assign(weights, [np.random.default_rng(seed).random(one.shape) for seed, one in enumerate(weights)])
            optimizer.build(weights)
            self._values = read(optimizer.variables)
            noise = {_as_bytes(one): places[id(one)] for one in weights}
        finally:
            assign(weights, before)
        contents = enumerate(map(_as_bytes, self._values))
        self._copied = {index: noise[content] for index, content in contents if content in noise}

    def values(self, weights: Values) -> Values:
        """Return the values that are fresh for these values of `all_variables`."""
        return [
            weights[self._copied[index]] if index in self._copied else value for index, value in enumerate(self._values)
        ]


def _as_bytes(value: Any) -> bytes:
    return np.asarray(value).tobytes()
