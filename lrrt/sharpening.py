"""Sharpen bounds by what short trainings at constant rates reached."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lrrt.bounds import Bounds
from lrrt.factors import LENGTH_EXPONENT, lags
from lrrt.short_trainings import TRUSTED, Confirmation, falls_of

# Fitted to full trainings of 42 real cases, as the bounds' factors are; benchmarks/bounds_quality.py scores them.
TOLERANCE = 0.05  # of the most progress: rates that are this much behind weigh 1/e in the mean
LION_LONGER = 2.5  # Lion's step is its rate: a longer training gets as far at a lower one; 2 to 4 score alike
NEARLY = 1.001  # rates that differ by less are the same
REACH = 3.0  # the sharpened bounds reach this factor below and above what is suggested: just under a decade in all


def sharpen(
    bounds: Bounds,
    seen: Confirmation,
    *,
    optimizer: str | None = None,
    tolerance: float = TOLERANCE,
    reach: float = REACH,
    trusted: float = TRUSTED,
) -> Bounds:
    """Move the bounds to about a decade around the rates that got furthest.

    A rate's progress is its fall below the starting loss, 0 if it rose or diverged, in parts of the furthest one.
    The suggested rate is the mean, in log rate, of those tried, each weighted by `exp(-(1 - progress) / tolerance)`:
    equally good neighbours share it, and noise moves it little. A longer training does best at lower rates, so that
    it is divided by (training steps / steps at each rate) ** .3 if the former are known, and by 2.5 for "lion", whose
    steps are as long as its rate and lead less far in a short training. The bounds are `[suggested / reach, reach *
    suggested]`, moved into what they were and what was tried beyond, and kept from rates that diverged.

    Judged is the validation loss. A moving average of BatchNorm lags behind weights that have moved for a few steps
    only: if the short trainings have too few for it to follow, or if no rate's validation loss has fallen by a
    tenth of what its training loss has, the training loss is judged on instead.

    Returns:
        Bounds whose reason says what the trainings showed. If no loss fell by 4 standard errors of a training loss,
        the rates are what they were.
    """
    assert bounds.low is not None
    assert bounds.high is not None
    of = f"{len(seen.lrs)} short trainings"
    if all(loss is None for loss in seen.train_losses):
        return replace(bounds, reason=f"{bounds.reason}; all of {of} diverged, so the bounds are not confirmed")
    falls = falls_of(seen, math.inf if lags(seen.steps_each or None, bounds.averaging_steps) else trusted)
    if falls is None:
        return replace(
            bounds, reason=f"{bounds.reason}; in none of {of} did a loss fall, so the bounds are not confirmed"
        )
    weights = np.exp((falls / falls.max() - 1) / tolerance)
    suggested = math.exp(float(np.average(np.log(seen.lrs), weights=weights)))
    suggested /= _for_longer(bounds, seen, optimizer)
    lowest, highest = min(bounds.low, seen.lrs[0]), max(bounds.high, seen.lrs[-1])
    suggested = min(max(suggested, lowest), highest)
    low, high = _around(suggested, reach, *_without_diverged(lowest, highest, suggested, seen))
    low, high = min(low, suggested), max(high, suggested)  # but for rounding where floats end
    reason = f"{bounds.reason}; sharpened by {of}{_outside(bounds, seen)}{_beyond(int(falls.argmax()), len(falls))}"
    return replace(bounds, low=low, high=high, suggested=suggested, reason=reason)


def _for_longer(bounds: Bounds, seen: Confirmation, optimizer: str | None) -> float:
    """Return how far the best rate of the training to come lies below that of short ones."""
    if optimizer == "lion":
        return LION_LONGER
    steps = bounds.training_steps
    if steps is None or seen.steps_each == 0:
        return 1.0
    return math.pow(max(steps / seen.steps_each, 1.0), LENGTH_EXPONENT)


def _outside(bounds: Bounds, seen: Confirmation) -> str:
    """Say how many rates were tried beyond the bounds."""
    assert bounds.low is not None
    assert bounds.high is not None
    below = sum(lr < bounds.low / NEARLY for lr in seen.lrs)
    above = sum(lr > bounds.high * NEARLY for lr in seen.lrs)
    counts = [f"{number} {side} the bounds" for number, side in ((below, "below"), (above, "above")) if number]
    return f", {' and '.join(counts)}" if counts else ""


def _beyond(best: int, num_rates: int) -> str:
    """Say where the best rate of all may lie outside those that were tried."""
    if num_rates > 1 and best in (0, num_rates - 1):
        end, side = ("lowest", "below") if best == 0 else ("highest", "above")
        return f", of which the {end} rate did best, so that the best of all may lie {side}"
    return ""


def _without_diverged(low: float, high: float, suggested: float, seen: Confirmation) -> tuple[float, float]:
    """Return the bounds with each rate that diverged outside, half way to its neighbour on the side of `suggested`."""
    for i, (lr, loss) in enumerate(zip(seen.lrs, seen.train_losses, strict=True)):
        if loss is None and lr > suggested:
            high = min(high, max(suggested, math.sqrt(lr) * math.sqrt(seen.lrs[max(i - 1, 0)])))
        elif loss is None:
            low = max(low, min(suggested, math.sqrt(lr) * math.sqrt(seen.lrs[min(i + 1, len(seen.lrs) - 1)])))
    return low, high


def _around(lr: float, reach: float, low: float, high: float) -> tuple[float, float]:
    """Return `[lr / reach, reach * lr]`, moved into `[low, high]`, or the latter if it is narrower."""
    if high <= reach**2 * low:
        return low, high
    start = min(max(lr / reach, low), high / reach**2)
    return start, min(start * reach**2, high)
