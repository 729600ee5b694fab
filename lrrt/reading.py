"""Read one range curve: the rates at which the loss has fallen, is lowest, is steepest, and has risen again."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from lrrt.curve import RangeCurve
from lrrt.smoothing import (
    MIN_PLATEAU,
    SIGNIFICANT,
    Floats,
    count_finite,
    errors_of,
    find_breakdown,
    plateau_size,
    smooth,
    starting_level,
    window_sizes,
)

MIN_POINTS = 10  # below this no noise can be measured
FALLEN = 0.9  # the part of the drop that counts as "has fallen": the bottom's first touch, not its noisy minimum
LOST = 0.75  # the part of the drop whose loss ends the good rates: what has unlearnt all may stay below where it began
REGAINED = 0.5  # the part of the drop that must be lost again, or the upper end of the curve is open
SURELY = 2.0  # standard errors that the lowest loss is taken too high, so that it is not one that scatters far
LOCAL_PART = 2 / 3  # of an error that some six losses show: it is known to a third of itself
MAYBE = 2.5  # standard errors; half of all curves of pure noise stay below
RISEN = 8.0  # standard errors, twice what a fall needs: nothing was learnt, so only a clear rise tells
HUGE, SMALLER = 1e300, 2.0**-16  # losses beyond it are scaled, which moves no rate, so that no difference overflows
EDGE_BELOW_DIVERGED = 2.5  # diverged / edge, the median over 42 real cases; for a fall that noise hides


class Shape(Enum):
    """What one curve looks like."""

    FALLS = "the loss falls"
    FALLS_UNSEEN = "noise hides the fall, but the loss rises at a rate that leaves room below it"
    FLAT = "the loss does not fall"
    NOISY = "a fall may be there, but the noise hides it"
    DIVERGES = "the loss rises without having fallen"
    NON_FINITE = "the loss is not finite before it falls"
    TOO_FEW = "there are too few losses"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one curve shows; rates are None if the curve does not show them.

    `edge` is the geometric mean of the rate at which 90 % of the drop is made and the rate at which 75 % of it is lost
    again. The first moves left when a ramp has more steps a decade; the second is the limit of stability; their mean
    hardly moves. `diverged` is where the smoothed loss is back above its starting level, which a classifier that
    answers every sample alike need not reach. `confidence` is the drop in standard errors of the smoothed loss, which
    may scatter more where the weights have moved than where they begin: the larger error counts.
    """

    shape: Shape
    confidence: float = 0.0
    edge: float | None = None
    lowest: float | None = None
    steepest: float | None = None
    diverged: float | None = None
    is_open: bool = False


def read_curve(curve: RangeCurve) -> Reading:
    """Read one curve; everything from its first loss that is not finite is left out.

    A loss that falls, comes back to its start and falls again has several valleys; the first one that comes near the
    lowest loss counts.
    """
    losses = np.asarray(curve.losses, float)
    num_finite = count_finite(losses)
    breaks_off = num_finite < len(losses) or curve.stop.name == "NON_FINITE"
    if num_finite < MIN_POINTS:
        return Reading(Shape.NON_FINITE if breaks_off else Shape.TOO_FEW)
    rates = np.asarray(curve.lrs, float)
    end = float(rates[min(num_finite, len(rates) - 1)])  # where it breaks off, or the ramp's end
    losses = losses[:num_finite]
    losses = losses * (SMALLER if np.abs(losses).max() > HUGE else 1.0)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # losses may span all of float64
        errors = errors_of(rates[:num_finite], losses, are_local=bool(curve.untrained))
        return _read(rates[:num_finite], losses, errors, end, breaks_off)


def _read(rates: Floats, losses: Floats, errors: Floats, end: float, breaks_off: bool) -> Reading:
    smoothed, start = smooth(rates, losses), starting_level(rates, losses)
    breakdown = find_breakdown(rates, losses, errors)
    until = len(rates) if breakdown is None else breakdown + 1
    lowest = int((smoothed + SURELY * errors)[:until].argmin())
    drop = start - float(smoothed[lowest])
    confidence = float(np.max(((start - smoothed) / _with_local(errors, rates, losses))[: lowest + 1]))
    if confidence <= SIGNIFICANT or lowest < plateau_size(rates):
        return _read_without_fall(rates, losses, errors, breaks_off)
    height = (smoothed[:until] - smoothed[lowest]) / drop  # 0 at the lowest point, 1 at the starting level
    fallen = int(np.argmax(height <= 1 - FALLEN))
    lost = np.flatnonzero(height[fallen:] > LOST)
    valley = slice(fallen, fallen + int(lost[0]) if len(lost) else until)
    bottom = fallen + int(height[valley].argmin())
    above = np.flatnonzero(height[bottom:] > 1)
    diverged = float(rates[bottom + above[0]]) if len(above) else end
    unstable = float(rates[valley.stop]) if len(lost) else end
    return Reading(
        Shape.FALLS,
        confidence=confidence,
        edge=float(np.sqrt(rates[fallen]) * np.sqrt(unstable)),
        lowest=float(rates[bottom]),
        steepest=float(rates[int(np.gradient(smoothed[:until], np.log(rates[:until]))[: bottom + 1].argmin())]),
        diverged=diverged,
        is_open=not breaks_off and not bool(np.any(height[bottom:] > REGAINED)),
    )


def _with_local(errors: Floats, rates: Floats, losses: Floats) -> Floats:
    """Return errors no smaller than those that the losses around each show; few losses show their fall as well."""
    is_shown = window_sizes(rates) > MIN_PLATEAU
    return np.where(is_shown, np.maximum(errors, LOCAL_PART * errors_of(rates, losses, are_local=True)), errors)


def _read_without_fall(rates: Floats, losses: Floats, errors: Floats, breaks_off: bool) -> Reading:
    rise = smooth(rates, losses) - starting_level(rates, losses)
    risen = np.flatnonzero(rise > RISEN * errors)
    if len(risen):
        diverged = float(rates[risen[0]])
        return Reading(Shape.FALLS_UNSEEN, edge=diverged / EDGE_BELOW_DIVERGED, diverged=diverged)
    if breaks_off:
        return Reading(Shape.NON_FINITE)
    return Reading(Shape.NOISY if bool(np.any(-rise > MAYBE * errors)) else Shape.FLAT)
