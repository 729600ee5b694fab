"""Make space.json: the narrowed space in the forms that Optuna and KerasTuner read without this package."""

from __future__ import annotations

from typing import Any

from studies import Dimension, SearchSpace
from studies.space.suggesting import keras_tuner_config


def space_as_dict(space: SearchSpace) -> dict[str, Any]:
    """Return the content of space.json.

    `optuna` has each dimension by name, as `optuna.distributions.json_to_distribution` reads it from text. `conditions`
    has, for each name, the values of other dimensions with which it is searched. `keras_tuner` is the argument of
    `HyperParameters.from_config`. `first_trials` are the values that the range tests suggest. A script enqueues them;
    the sampler chooses the values that are missing there.
    """
    dimensions = space.dimensions()
    return {
        **space.as_dict(),
        "optuna": {dimension.name: _for_optuna(dimension) for dimension in dimensions},
        "conditions": {
            dimension.name: {parent: list(values) for parent, values in dimension.conditions}
            for dimension in dimensions
        },
        "keras_tuner": {"space": [keras_tuner_config(dimension) for dimension in dimensions], "values": {}},
        "first_trials": space.suggested_parameters(),
    }


def _for_optuna(dimension: Dimension) -> dict[str, Any]:
    if dimension.choices:
        return {"name": "CategoricalDistribution", "attributes": {"choices": list(dimension.choices)}}
    kind, number = ("IntDistribution", int) if dimension.integer else ("FloatDistribution", float)
    low, high = number(dimension.low), number(dimension.high)
    step = number(dimension.step) if dimension.step is not None else 1 if dimension.integer else None
    return {"name": kind, "attributes": {"low": low, "high": high, "log": dimension.log, "step": step}}
