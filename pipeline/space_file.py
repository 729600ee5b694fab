"""Knows space.json: the narrowed space in the forms that Optuna and KerasTuner read without this package."""

from __future__ import annotations

from typing import Any

from studies import Dimension, SearchSpace


def space_as_dict(space: SearchSpace) -> dict[str, Any]:
    """Return what space.json holds.

    `optuna` is by name what `optuna.distributions.json_to_distribution` reads from text; `conditions` tells for each
    name the values of others with which it is searched; `keras_tuner` is what `HyperParameters.from_config` reads.
    """
    dimensions = space.dimensions()
    return {
        **space.as_dict(),
        "optuna": {dimension.name: _for_optuna(dimension) for dimension in dimensions},
        "conditions": {
            dimension.name: {parent: list(values) for parent, values in dimension.conditions}
            for dimension in dimensions
        },
        "keras_tuner": {"space": [_for_keras_tuner(dimension) for dimension in dimensions], "values": {}},
    }


def _for_optuna(dimension: Dimension) -> dict[str, Any]:
    if dimension.choices:
        return {"name": "CategoricalDistribution", "attributes": {"choices": list(dimension.choices)}}
    low, high, step = _numbers(dimension)
    kind = "IntDistribution" if dimension.integer else "FloatDistribution"
    step = 1 if dimension.integer and step is None else step
    return {"name": kind, "attributes": {"low": low, "high": high, "log": dimension.log, "step": step}}


def _for_keras_tuner(dimension: Dimension) -> dict[str, Any]:
    conditions = [
        {"class_name": "Parent", "config": {"name": parent, "values": list(values)}}
        for parent, values in dimension.conditions
    ]
    shared = {"name": dimension.name, "default": dimension.start, "conditions": conditions}
    if dimension.choices:
        is_ordered = not isinstance(dimension.choices[0], str)
        return {"class_name": "Choice", "config": shared | {"values": list(dimension.choices), "ordered": is_ordered}}
    low, high, step = _numbers(dimension)
    sampling = "log" if dimension.log else "linear"
    if dimension.integer and step is None and not dimension.log:
        step = 1
    config = shared | {"min_value": low, "max_value": high, "step": step, "sampling": sampling}
    return {"class_name": "Int" if dimension.integer else "Float", "config": config}


def _numbers(dimension: Dimension) -> tuple[float, float, float | None]:
    number = int if dimension.integer else float
    step = None if dimension.step is None else number(dimension.step)
    return number(dimension.low), number(dimension.high), step
