"""Check the configs that the user wants to be tried first, and give their values the names of the search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lrrt.words import did_you_mean
from pipeline.config.tables import StageConfig
from pipeline.config.values import is_number, listed
from pipeline.failures import ConfigError
from pipeline.task.untested_space import untested_space
from studies import Dimension, SearchSpace
from studies.dimension import Value
from studies.trial_config import rate_name

RATE = "lr"  # the user's name of a rate, whatever the optimizer


def check_first(config: StageConfig, own: Sequence[Dimension]) -> None:
    """Refuse first configs with a name or a choice that no trial can have; rates are known later.

    Raises:
        ConfigError: for the first mistake.
    """
    if not config.study.first:
        return
    study, space = config.study, untested_space(config, own)
    dimensions = {dimension.name: dimension for dimension in space.dimensions()}
    of_model = {dimension.name for dimension in own}
    for number, values in enumerate(study.first, 1):
        place = f"[[study.first]] number {number}"
        for name, value in named(values, space, place).items():
            if name not in dimensions:
                hint = did_you_mean(name, tuple(dimensions)) or f" Known: {listed([RATE, *dimensions])}."
                raise ConfigError(f"{place} must have names of the search space, got {name!r}.{hint}")
            dimension = dimensions[name]
            if (dimension.choices or name in of_model) and not _holds(dimension, value):
                allowed = listed(map(str, dimension.choices)) or f"a number from {dimension.low} to {dimension.high}"
                raise ConfigError(f"{place} must have a {name} that is searched, {allowed}, got {value!r}.")
            if not dimension.choices and (not is_number(value) or (dimension.log and float(value) <= 0)):
                kind = "a positive number" if dimension.log else "a number"
                raise ConfigError(f"{place} must have {kind} as {name}, got {value!r}.")


def named(values: Mapping[str, Value], space: SearchSpace, place: str) -> dict[str, Value]:
    """Return the values of a first config with the names of the space, in which a rate has its optimizer's.

    Args:
        values: the user's table.
        space: the space.
        place: the name of the table for messages.

    Raises:
        ConfigError: for a rate without an optimizer, or without the batch size that it is of.
    """
    named = dict(values)
    if RATE in named:
        optimizers = list(dict.fromkeys(one.name for one in space.optimizers))
        optimizer = named.setdefault("optimizer", optimizers[0]) if len(optimizers) == 1 else named.get("optimizer")
        if optimizer is None:
            raise ConfigError(f"{place} must name the optimizer of its {RATE}, one of {listed(optimizers)}, got none.")
        is_of_batch_size = any(one.name == optimizer and one.batch_size for one in space.optimizers)
        if is_of_batch_size and "batch_size" not in named:
            raise ConfigError(f"{place} must name the batch_size of its {RATE}, since bounds are for each, got none.")
        size: Any = named["batch_size"] if is_of_batch_size else None
        named[rate_name(str(optimizer), size)] = named.pop(RATE)
    return named


def _holds(dimension: Dimension, value: Value) -> bool:
    try:
        return dimension.holds(value)
    except ValueError:  # text that is no number
        return False
