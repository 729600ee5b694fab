"""The learning rates of a range test, in order."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveFloat

MIN_STEPS = 2  # a ramp hits both ends, so it needs two steps at least


@dataclass(frozen=True, slots=True)
class Ramp:
    """The learning rates of one range test: a climb from `start_lr` to `end_lr`, one rate per step.

    `spacing="exponential"` climbs by a constant factor (Smith 2018, arXiv:1803.09820, section 4.1, as fast.ai made
    popular), `spacing="linear"` by a constant amount (Smith 2015, arXiv:1506.01186, section 3.3).

    Raises:
        ValueError: unless `0 < start_lr < end_lr < inf` and `num_steps >= 2`.

    >>> [float(rate) for rate in Ramp(start_lr=1e-3, end_lr=10.0, num_steps=5).rates()]
    [0.001, 0.01, 0.1, 1.0, 10.0]
    """

    start_lr: PositiveFloat = 1e-7
    end_lr: PositiveFloat = 10.0
    num_steps: NonNegativeInt = 100
    spacing: Literal["exponential", "linear"] = "exponential"

    def __post_init__(self) -> None:
        if not 0 < self.start_lr < self.end_lr < math.inf:
            raise ValueError(
                f"`0 < start_lr < end_lr` must hold, got start_lr={self.start_lr!r}, end_lr={self.end_lr!r}."
            )
        if isinstance(self.num_steps, bool) or not isinstance(self.num_steps, int) or self.num_steps < MIN_STEPS:
            raise ValueError(f"`num_steps` must be a whole number >= {MIN_STEPS}, got {self.num_steps!r}.")
        if self.spacing not in ("exponential", "linear"):
            raise ValueError(f'`spacing` must be "exponential" or "linear", got {self.spacing!r}.')

    def rates(self) -> NDArray[np.float64]:
        """Return the rates, shape `(num_steps,)`, ascending; the first and the last are the ends exactly."""
        if self.spacing == "linear":
            rates = np.linspace(self.start_lr, self.end_lr, self.num_steps)
        else:
            rates = np.geomspace(self.start_lr, self.end_lr, self.num_steps)
        rates[[0, -1]] = self.start_lr, self.end_lr
        return rates
