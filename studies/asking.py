"""Knows how an Optuna trial and a KerasTuner `hp` are asked for the values of a space's dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from studies.dimension import Dimension, Value


def ask_optuna(trial: Any, dimensions: Iterable[Dimension]) -> dict[str, Value]:
    """Return a value of each dimension that is active, by name."""
    values: dict[str, Value] = {}
    for dimension in dimensions:
        if dimension.is_active(values):
            values[dimension.name] = _suggested(trial, dimension)
    return values


def ask_keras_tuner(hp: Any, dimensions: Iterable[Dimension]) -> dict[str, Value]:
    """Return a value of each dimension that is active, by name.

    All dimensions are declared, in the scopes of their conditions: a tuner that meets one for the first time in the
    middle of a search gives it its default, not a value that it has drawn.
    """
    values: dict[str, Value] = {}
    for dimension in dimensions:
        with ExitStack() as scopes:
            for parent, allowed in dimension.conditions:
                scopes.enter_context(hp.conditional_scope(parent, list(allowed)))
            found = _declared(hp, dimension)
        if dimension.is_active(values):
            values[dimension.name] = found
    return values


def _suggested(trial: Any, dimension: Dimension) -> Value:
    name = dimension.name
    if dimension.choices:
        chosen: Value = trial.suggest_categorical(name, list(dimension.choices))
        return chosen
    if dimension.integer:
        step = int(dimension.step or 1)
        return int(trial.suggest_int(name, int(dimension.low), int(dimension.high), step=step, log=dimension.log))
    return float(trial.suggest_float(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log))


def _declared(hp: Any, dimension: Dimension) -> Any:
    """Declare a dimension; return its value, None where KerasTuner finds it inactive."""
    name, start = dimension.name, dimension.start
    if dimension.choices:
        return hp.Choice(name, list(dimension.choices), default=start)
    declare = hp.Int if dimension.integer else hp.Float
    number = int if dimension.integer else float
    sampling = "log" if dimension.log else "linear"
    step = None if dimension.step is None else number(dimension.step)
    low, high = number(dimension.low), number(dimension.high)
    found = declare(name, low, high, step=step, sampling=sampling, default=number(start))
    return None if found is None else number(found)
