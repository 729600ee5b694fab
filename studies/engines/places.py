"""Measure a learning rate in units of its optimizer's bounds, in which rates of all optimizers mean the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from studies.space.optimizer_range import OptimizerRange

# Of the places, so many lie beyond each bound: of the first proposals one in twenty, at either side, doubts the bounds.
BEYOND = 0.05
_POSITIONS, _PLACES = (-2.0, -1.0, 0.0, 1.0, 2.0), (0.0, BEYOND, 0.5, 1 - BEYOND, 1.0)


def rate_at(position: float, bounds: OptimizerRange, schedules: Sequence[str]) -> float:
    """Return the rate at a position: 0 is the suggested rate, or the middle; -1 and 1 are the bounds.

    In between, the position is linear in the logarithm of the rate. Beyond the bounds it counts decades.

    >>> sgd = OptimizerRange("sgd", 1e-3, 1e-1)
    >>> [round(rate_at(position, sgd, ["fixed"]), 6) for position in (-2, -1, 0, 0.5, 1, 2)]
    [0.0001, 0.001, 0.01, 0.031623, 0.1, 1.0]
    """
    low, middle, high = _logs(bounds, schedules)
    if abs(position) > 1:
        return 10.0 ** (high + position - 1 if position > 0 else low + position + 1)
    return 10.0 ** (middle + position * (high - middle if position > 0 else middle - low))


def position_of(rate: float, bounds: OptimizerRange, schedules: Sequence[str]) -> float:
    """Return the position of a rate in an optimizer's bounds, as `rate_at` reads it."""
    low, middle, high = _logs(bounds, schedules)
    log = math.log10(rate)
    if log > high:
        return 1 + log - high
    if log < low:
        return -1 + log - low
    return (log - middle) / (high - middle if log > middle else middle - low)


def position_at(place: float, centre: float = 0.0) -> float:
    """Return the position at a place from 0 to 1.

    The centre is at 1/2, 0.05 and 0.95 are where the bounds lie if the centre is 0, and 0 and 1 are a decade beyond. So
    equally likely places are the prior of a search: a density that is high around the suggestion and low, but not zero,
    beyond the bounds. A sampler that learns leaves the prior as trials come in.
    """
    return centre + float(np.interp(place, _PLACES, _POSITIONS))


def place_of(position: float, centre: float = 0.0) -> float:
    """Return the place of a position, as `position_at` reads it; 0 or 1 for one that lies outside."""
    return float(np.interp(position - centre, _POSITIONS, _PLACES))


def _logs(bounds: OptimizerRange, schedules: Sequence[str]) -> tuple[float, float, float]:
    low, high = math.log10(bounds.low), math.log10(bounds.highest_peak(schedules))
    middle = (low + high) / 2 if bounds.suggested is None else math.log10(bounds.suggested)
    return low, middle if low < middle < high else (low + high) / 2, high
