"""Measure a learning rate in units of its optimizer's bounds, in which rates of all optimizers mean the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from studies.space.optimizer_range import OptimizerRange

# Of the places, so many lie beyond each bound: of the first proposals one in twenty, at either side, doubts the bounds.
BEYOND = 0.05
BEYOND_DECADES = 1.0  # what lies there, outwards from the bound; with more, a step beyond a bound would be a leap
MIDDLE = 0.5  # the place of the suggested rate
# Van der Corput's sequence after the middle. With three such trials before TPE, one optimizer's rate took 3.6 trainings
# until within 1 % of the best, the mean of 36 cases; with places drawn at random 4.0, and 4.0 inside hard bounds.
SPREAD = (0.25, 0.75, 0.125)


def rate_at(place: float, bounds: OptimizerRange, schedules: Sequence[str]) -> float:
    """Return the rate at a place from 0 to 1 of an optimizer's bounds.

    The suggested rate, or the middle of the bounds, is at 1/2, the bounds are at 0.05 and 0.95, and in between the
    place is linear in the logarithm of the rate. So equally likely places are the prior of a search: a density that is
    high around the suggestion and low, but not zero, beyond the bounds. A sampler that learns leaves the prior as
    trials come in.

    >>> [round(rate_at(place, OptimizerRange("sgd", 1e-3, 1e-1), ["fixed"]), 6) for place in (0.05, 0.5, 0.95, 1)]
    [0.001, 0.01, 0.1, 1.0]
    """
    places, logs = _knots(bounds, schedules)
    return 10.0 ** float(np.interp(place, places, logs))


def place_of(rate: float, bounds: OptimizerRange, schedules: Sequence[str]) -> float:
    """Return the place of a rate in an optimizer's bounds, as `rate_at` reads it; 0 or 1 for one that lies outside."""
    places, logs = _knots(bounds, schedules)
    return float(np.interp(math.log10(rate), logs, places))


def _knots(bounds: OptimizerRange, schedules: Sequence[str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    low, high = math.log10(bounds.low), math.log10(bounds.highest_peak(schedules))
    middle = (low + high) / 2 if bounds.suggested is None else math.log10(bounds.suggested)
    if not low < middle < high:
        middle = (low + high) / 2
    logs = (low - BEYOND_DECADES, low, middle, high, high + BEYOND_DECADES)
    return (0.0, BEYOND, MIDDLE, 1 - BEYOND, 1.0), logs
