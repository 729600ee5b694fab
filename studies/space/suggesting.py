"""Ask an Optuna trial or a KerasTuner `hp` for the values of a space's dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from studies.dimension import Dimension, Value


def ask_optuna(trial: Any, dimensions: Iterable[Dimension]) -> dict[str, Value]:
    """Return a value of each dimension that is active, by name."""
    values: dict[str, Value] = {}
    for dimension in dimensions:
        if dimension.is_active(values):
            values[dimension.name] = _suggested(trial, dimension)
    return values


def ask_keras_tuner(hp: Any, dimensions: Sequence[Dimension]) -> dict[str, Value]:
    """Return a value of each dimension that is active, by name.

    All dimensions are declared first, with their conditions. If a tuner meets a dimension in the middle of a search,
    it takes the default instead of drawing a value.
    """
    import keras_tuner

    space = {"space": [keras_tuner_config(dimension) for dimension in dimensions], "values": {}}
    # A KerasTuner scope cannot have two parents that are independent of each other.
    hp.merge(keras_tuner.HyperParameters.from_config(space), overwrite=False)
    values: dict[str, Value] = {}
    for dimension in dimensions:
        if dimension.is_active(values):
            values[dimension.name] = hp.get(dimension.name)
    return values


def keras_tuner_config(dimension: Dimension) -> dict[str, Any]:
    """Return a dimension in the form of `keras_tuner.HyperParameters.from_config`."""
    conditions = [
        {"class_name": "Parent", "config": {"name": parent, "values": list(values)}}
        for parent, values in dimension.conditions
    ]
    shared = {"name": dimension.name, "default": dimension.start, "conditions": conditions}
    if set(map(repr, dimension.choices)) == {"True", "False"}:  # a Choice would make numbers of them
        return {"class_name": "Boolean", "config": shared}
    if dimension.choices:
        is_ordered = not isinstance(dimension.choices[0], str)
        return {"class_name": "Choice", "config": shared | {"values": list(dimension.choices), "ordered": is_ordered}}
    number = int if dimension.integer else float
    step = None if dimension.step is None else number(dimension.step)
    if dimension.integer and step is None and not dimension.log:
        step = 1
    config = shared | {
        "default": number(dimension.start),
        "min_value": number(dimension.low),
        "max_value": number(dimension.high),
        "step": step,
        "sampling": "log" if dimension.log else "linear",
    }
    return {"class_name": "Int" if dimension.integer else "Float", "config": config}


def _suggested(trial: Any, dimension: Dimension) -> Value:
    name = dimension.name
    if dimension.choices:
        chosen: Value = trial.suggest_categorical(name, list(dimension.choices))
        return chosen
    if dimension.integer:
        step = int(dimension.step or 1)
        return int(trial.suggest_int(name, int(dimension.low), int(dimension.high), step=step, log=dimension.log))
    return float(trial.suggest_float(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log))
