"""Define the record of a schedule family: all that distinguishes it from the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Schedule = Any  # keras.optimizers.schedules.LearningRateSchedule; Keras is untyped
Values = Mapping[str, float]  # a value for each parameter of a family
Place = tuple[float, float]  # the part of the schedule that is done, and the part of the training that is over by then

# Parts of a decay. Validation losses at an eighth of the training ranked its final best three 13th to 16th of 18; from
# half of it on the ranks agree with those at the end (correlation .95).
DECAY_PARTS = (0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a schedule family: the domain that a search samples from, both ends included.

    `is_base` marks the lowest rate of a cycle as a fraction of its peak: a search takes it from the bounds.

    Raises:
        ValueError: unless `low <= default <= high`, and `0 < low` if the scale is logarithmic.
    """

    name: str
    low: float
    high: float
    default: float
    log: bool = False
    integer: bool = False
    is_base: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.default <= self.high:
            raise ValueError(f"`low <= default <= high` must hold, got {self!r}.")
        if self.log and self.low <= 0:
            raise ValueError(f"`low` must be positive on a logarithmic scale, got {self!r}.")


WARMUP = Parameter("warmup", 0.0, 0.3, 0.0)  # a fraction of the training; a family that lists it can warm up


class Momentum(Protocol):
    """Make the momentum of each step of a training, shape `(num_steps,)`, float32, from `low` to `high`."""

    def __call__(self, num_steps: int, values: Values, *, high: float, low: float) -> NDArray[np.float32]: ...


def marks_of_decay(values: Values) -> Sequence[Place]:
    """Return half and three quarters of a decay that takes the whole training."""
    return [(part, part) for part in DECAY_PARTS]


def one_step(values: Values) -> int:
    """Return the least length of a family that has no parts."""
    return 1


@dataclass(frozen=True, slots=True)
class Family:
    """A schedule family.

    All parameters are counts, or fractions of the training or of the peak, so that they mean the same at any number of
    epochs. Each function takes a value for every parameter. A warm-up comes before the schedule; `make`, `min_steps`
    and `marks` describe what follows it.

    Attributes:
        name: what configs, trials and results call it.
        description: its formula and source.
        make: `(peak_lr, num_steps, values) -> Keras schedule` over `num_steps`, which can be saved.
        parameters: what a search may vary.
        min_steps: the least number of steps.
        marks: the places where trials of the family can be compared before their end.
        momentum: the momentum of each step of the training; None if the family does not change it.
        is_cyclical: whether the rates cycle, or rise and fall once; a warm-up does not count.
    """

    name: str
    description: str
    make: Callable[[float, int, Values], Schedule]
    parameters: tuple[Parameter, ...]
    min_steps: Callable[[Values], int] = one_step
    marks: Callable[[Values], Sequence[Place]] = marks_of_decay
    momentum: Momentum | None = None
    is_cyclical: bool = False

    @property
    def can_warm_up(self) -> bool:
        return WARMUP in self.parameters

    def defaults(self) -> dict[str, float]:
        """Return the default of each parameter, by name."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    def searched(self, *, searches_warmup: bool, least_base: float = 0.0) -> tuple[Parameter, ...]:
        """Return the parameters that a search varies.

        Args:
            searches_warmup: whether the length of a warm-up is one of them.
            least_base: the lower end for the base of a cycle, if it is inside the domain and not above the default.
        """
        return tuple(
            replace(one, low=min(max(one.low, least_base), one.default)) if one.is_base else one
            for one in self.parameters
            if one != WARMUP or searches_warmup
        )
