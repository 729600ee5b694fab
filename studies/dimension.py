"""Define one dimension of a search space: its name, its values, and when it is active."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Number = float | int  # JSON distinguishes whole numbers, which `float` alone would not
Value = float | int | str | bool
Condition = tuple[str, tuple[Value, ...]]  # active if the dimension of this name has one of these values


@dataclass(frozen=True, slots=True)
class Dimension:
    """A choice among `choices`, or, if there are none, a number from `low` to `high`, both included.

    Engines know it by `name`. It is active if all `conditions` hold. A number is drawn on a logarithmic scale if `log`,
    and whole if `integer`; `step` is the distance between its values if it takes only some. `default` is the start for
    engines that need one.

    Raises:
        ValueError: for a dimension with neither choices nor a valid range.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: Number = 0.0
    high: Number = 0.0
    log: bool = False
    integer: bool = False
    step: Number | None = None
    default: Value | None = None
    conditions: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if self.choices:
            return
        if not -math.inf < self.low <= self.high < math.inf or (self.log and self.low <= 0):
            law = "`0 < low <= high`" if self.log else "`low <= high`"
            raise ValueError(f"{law} must hold for {self.name}, got low={self.low!r}, high={self.high!r}.")

    def is_active(self, values: Mapping[str, Value]) -> bool:
        """Say whether the dimension is searched if the others have these values."""
        return all(values.get(name) in allowed for name, allowed in self.conditions)

    def holds(self, value: Value) -> bool:
        """Say whether the dimension may take this value."""
        return value in self.choices if self.choices else self.low <= float(value) <= self.high

    @property
    def start(self) -> Value:
        """The default, or the first choice, or the middle of the range."""
        if self.default is not None:
            return self.default
        if self.choices:
            return self.choices[0]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return round(middle) if self.integer else middle
