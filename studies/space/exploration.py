"""Record what builds of a model under several values showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studies.dimension import Value
from studies.space.builds import Asked

MAX_VALUES = 64  # of a whole number that may be a condition; a finer one is tried at its ends alone

Points = Sequence[Value]


@dataclass(slots=True)
class Effect:
    """What changed in builds where one hyperparameter alone had another value.

    Attributes:
        optimizer: whether the model's optimizer changed.
        model: whether anything else of the model changed, or one of the two builds raised.
        names: the hyperparameters that came or went.
        classes: the class of the optimizer by the value, if the optimizer changed.
    """

    optimizer: bool = False
    model: bool = False
    names: set[str] = field(default_factory=set)
    classes: dict[Value, str] = field(default_factory=dict)

    @property
    def is_none(self) -> bool:
        """Whether nothing changed."""
        return not (self.optimizer or self.model or self.names)


@dataclass(slots=True)
class Exploration:
    """What builds showed.

    Attributes:
        builds: in their order.
        homes: a build that has the name, from which its neighbours were built; by name, parents first.
        effects: by name.
        is_whole: False if more builds than allowed would have been needed.
    """

    builds: list[Asked] = field(default_factory=list)
    homes: dict[str, Asked] = field(default_factory=dict)
    effects: dict[str, Effect] = field(default_factory=dict)
    is_whole: bool = True

    def points(self, name: str) -> Points:
        """Return the values at which a hyperparameter is tried."""
        scoped = {value for asked in self.builds for value in asked.scopes.get(name, ())}
        return points_of(self.homes[name].declared[name][0], scoped)

    @property
    def without_effect(self) -> list[str]:
        """The hyperparameters that changed nothing, though builds had several values of them."""
        values = {name: {asked.values.get(name) for asked in self.builds} - {None} for name in self.effects}
        return [name for name, effect in self.effects.items() if effect.is_none and len(values[name]) > 1]

    def like(self, values: Mapping[str, Value]) -> Asked | None:
        """Return a build that took the same way as one under these values would."""
        return next((asked for asked in self.builds if asked.is_asked_again(values)), None)


def is_listed(parameter: Any) -> bool:
    """Say whether the values of one of KerasTuner's hyperparameters can be listed, as a condition needs."""
    if not hasattr(parameter, "min_value"):
        return True
    if not isinstance(parameter.min_value, int) or not isinstance(parameter.max_value, int):
        return False  # engines round the steps of a number with a fraction in their own ways
    step = parameter.step or 1
    is_linear = parameter.sampling == "linear" or parameter.step is None
    return is_linear and (parameter.max_value - parameter.min_value) // step < MAX_VALUES


def points_of(parameter: Any, scoped: set[Value]) -> Points:
    """Return the values at which a hyperparameter is tried, those of a number in their order.

    Args:
        parameter: KerasTuner's object.
        scoped: values that open a conditional scope.
    """
    if not hasattr(parameter, "min_value"):
        return list(dict.fromkeys(parameter.values))
    low, high = parameter.min_value, parameter.max_value
    points = range(low, high + 1, parameter.step or 1) if is_listed(parameter) else (low, high)
    return sorted({*points, parameter.default, *(value for value in scoped if low <= value <= high)})
