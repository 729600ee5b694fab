"""Compute the momentum of one cycle (Smith 2018), which falls while the rate rises."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TAIL_FRACTION = 0.1  # of the training; Smith 2018, 4.1: one cycle "smaller than the total number of iterations"
TAIL_DEPTH = 1e-3  # of the base; Smith 2018, 4.1: "several orders of magnitude less than the initial learning rate"
HIGH_MOMENTUM = 0.95  # Smith 2018, 4.3
LOW_MOMENTUM = 0.85  # Smith 2018, 4.3
ONE_CYCLE_STEPS = 3  # up, down and tail


def one_cycle_momentum(
    num_steps: int, *, rise_fraction: float = 0.45, high: float = HIGH_MOMENTUM, low: float = LOW_MOMENTUM
) -> NDArray[np.float32]:
    """Return the momentum of each step of a one_cycle training, shape `(num_steps,)`: high when the rate is low.

    It falls from `high` to `low` while the rate rises, climbs back while the rate returns, and stays during the tail
    (Smith 2018, arXiv:1803.09820, section 4.3).

    Raises:
        ValueError: unless `0 <= low <= high < 1`.

    >>> [round(float(momentum), 3) for momentum in one_cycle_momentum(10, rise_fraction=0.4)]
    [0.95, 0.925, 0.9, 0.875, 0.85, 0.87, 0.89, 0.91, 0.93, 0.95]
    """
    if not 0 <= low <= high < 1:
        raise ValueError(f"`0 <= low <= high < 1` must hold, got low={low!r}, high={high!r}.")
    turns = [0.0, rise_fraction, 1 - TAIL_FRACTION, 1.0]
    return np.interp(np.arange(num_steps) / num_steps, turns, [high, low, high, high]).astype(np.float32)
