"""Read a range curve by the rules of the field, each written anew from what its source does.

A rule takes the rates of one whole ramp and each step's own loss, both of shape `(num_steps,)`, shorter where a loss
was not finite, and returns a rate in the rates' unit, or None where too few losses are left. Each applies its own
smoothing and its own stop first, as its source does while it trains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrrt.smoothing import count_finite

Floats = NDArray[np.float64]

FASTAI_MOMENTUM = 0.98  # Recorder's AvgSmoothLoss
FASTAI_STOP = 4.0  # times the best smoothed loss; LRFinder's stop_div
FASTAI_SKIPPED_LAST = 5  # losses; lr_find drops them, and the first tenth of the ramp
TORCH_MOMENTUM = 0.95  # 1 - smooth_f of range_test
TORCH_STOP = 5.0  # times the best smoothed loss; diverge_th
TORCH_SKIPPED = 10, 5  # skip_start and skip_end of plot
LIGHTNING_SKIPPED = 10, 1  # skip_begin and skip_end of suggestion
CENTRED = 5  # losses in a centred mean


def fastai_curve(lrs: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Return the rates and losses that fastai's suggestions are given.

    Source: fastai 2.8, callback/schedule.py (`LRFinder`, `lr_find`) and learner.py (`AvgSmoothLoss`). The losses are an
    exponential mean, divided by the weight that it has gathered; training stops above 4 times the lowest; the first
    tenth of the ramp's steps and the last 5 losses are dropped.
    """
    num_steps = len(lrs)
    rates, values = _finite(lrs, losses)
    weights = 1 - FASTAI_MOMENTUM ** np.arange(1, len(values) + 1)
    rates, values = _stopped(rates, _running_mean(values, FASTAI_MOMENTUM) / weights, FASTAI_STOP)
    kept = slice(num_steps // 10, -FASTAI_SKIPPED_LAST)
    return rates[kept], values[kept]


def fastai_valley(lrs: Floats, losses: Floats) -> float | None:
    """Return the rate in the middle of the middle third of the longest falling subsequence.

    Source: fastai 2.8, callback/schedule.py (`valley`), its default since 2.2. The steps are counted back from where
    the subsequence ends, by its length, as there.
    """
    rates, values = fastai_curve(lrs, losses)
    if not len(values):
        return None
    lengths = np.ones(len(values), int)
    start = end = 0
    for i in range(1, len(values)):
        above = values[:i] > values[i]
        if above.any():
            lengths[i] = max(1, lengths[:i][above].max() + 1)
        if lengths[i] > lengths[end]:
            start, end = i - int(lengths[i]), i
    third = (end - start) / 3
    return float(rates[max(start, 0) + int(third) + int(third / 2)])


def fastai_slide(lrs: Floats, losses: Floats) -> float | None:
    """Return the rate where an interval that slides left from the end first finds both its ends equally steep.

    Source: fastai 2.8, callback/schedule.py (`slide`): an interval of 15 steps; slopes are changes a step, equal where
    they differ by no more than 0.005 in the unit of the loss.
    """
    width, equal = 15, 0.005
    rates, values = fastai_curve(lrs, losses)
    if len(values) <= width:
        return None
    slopes = np.gradient(values)
    differ = np.abs(slopes[width:] - slopes[:-width]) > equal  # by the interval's left end
    same = np.flatnonzero(~differ)
    left = min(int(same[-1]) + 1, len(differ) - 1) if len(same) else 0
    return float(rates[left])


def fastai_steep(lrs: Floats, losses: Floats) -> float | None:
    """Return the rate at which the loss falls fastest against the log of the rate.

    Source: fastai 2.8, callback/schedule.py (`steep`).
    """
    rates, values = fastai_curve(lrs, losses)
    if len(values) < 2:  # a slope needs two points
        return None
    return float(rates[int((np.diff(values) / np.diff(np.log(rates))).argmin())])


def fastai_minimum(lrs: Floats, losses: Floats) -> float | None:
    """Return a tenth of the rate at the lowest loss.

    Source: fastai 2.8, callback/schedule.py (`minimum`).
    """
    rates, values = fastai_curve(lrs, losses)
    return float(rates[int(values.argmin())]) / 10 if len(values) else None


def torch_lr_finder(lrs: Floats, losses: Floats) -> float | None:
    """Return the rate at which the loss falls fastest a step.

    Source: torch-lr-finder 0.2.2 (davidtvs/pytorch-lr-finder), `LRFinder.range_test` and `LRFinder.plot`. The losses
    are an exponential mean that starts from the first loss; training stops above 5 times the lowest.
    """
    rates, values = _finite(lrs, losses)
    if not len(values):
        return None
    shifted = _running_mean(values - values[0], TORCH_MOMENTUM) + values[0]
    rates, values = _stopped(rates, shifted, TORCH_STOP)
    return _steepest(rates, values, TORCH_SKIPPED, np.arange(float(len(rates))))


def lightning(lrs: Floats, losses: Floats) -> float | None:
    """Return the rate at which the loss falls fastest against the rate itself, not its log.

    Source: Lightning 2.5.3 and later, pytorch/tuner/lr_finder.py (`_LRCallback`, `_LRFinder.suggestion`). The losses
    are an exponential mean divided by the weight of one step more than it has gathered, which halves the first one;
    training stops above 4 times the lowest.
    """
    rates, values = _finite(lrs, losses)
    weights = 1 - FASTAI_MOMENTUM ** np.arange(2, len(values) + 2)
    rates, values = _stopped(rates, _running_mean(values, FASTAI_MOMENTUM) / weights, FASTAI_STOP)
    return _steepest(rates, values, LIGHTNING_SKIPPED, rates)


def steepest_and_lowest(lrs: Floats, losses: Floats) -> tuple[float, float] | None:
    """Return the steepest rate and a tenth of the lowest one.

    Source: fastai 2.0 to 2.2, callback/schedule.py (`lr_find` returned `SuggestedLRs(lr_min / 10, lr_steep)`).
    """
    steepest, lowest = fastai_steep(lrs, losses), fastai_minimum(lrs, losses)
    return None if steepest is None or lowest is None else (steepest, lowest)


def first_rule(lrs: Floats, losses: Floats) -> tuple[float, float] | None:
    """Return the rates at the lowest point of a centred mean, and where it is back above its starting level.

    Source: this project's first rule, before version 0.1: bounds from a thirtieth of the lowest to the diverged rate,
    a tenth of the lowest suggested. The starting level is the mean of the first 10 losses; the drop limits how high a
    single loss may reach, so that one of 1e30 does not swallow its neighbours.
    """
    rates, values = _finite(lrs, losses)
    if len(values) < CENTRED:
        return None
    start = float(values[:10].mean())
    capped = np.minimum(values, 2 * start - values.min())
    padded = np.pad(capped, CENTRED // 2, mode="edge")
    centred = np.convolve(padded, np.full(CENTRED, 1 / CENTRED), "valid")
    lowest = int(centred.argmin())
    above = np.flatnonzero(centred[lowest:] > start)
    return float(rates[lowest]), float(rates[lowest + above[0]] if len(above) else rates[-1])


def _finite(lrs: Floats, losses: Floats) -> tuple[Floats, Floats]:
    num_finite = count_finite(losses)
    return np.asarray(lrs, float)[:num_finite], np.asarray(losses, float)[:num_finite]


def _running_mean(values: Floats, momentum: float) -> Floats:
    """Return the exponential mean that starts from 0, shape `(len(values),)`."""
    means, mean = np.empty(len(values)), 0.0
    for i, value in enumerate(values):
        mean = momentum * mean + (1 - momentum) * value
        means[i] = mean
    return means


def _stopped(rates: Floats, values: Floats, times: float) -> tuple[Floats, Floats]:
    """Cut after the first value that exceeds so many times the lowest before it."""
    over = np.flatnonzero(values > times * np.minimum.accumulate(values)) if len(values) else values
    until = int(over[0]) + 1 if len(over) else len(values)
    return rates[:until], values[:until]


def _steepest(rates: Floats, values: Floats, skipped: tuple[int, int], along: Floats) -> float | None:
    first, last = skipped[0], len(values) - skipped[1]
    if last - first < 2:  # a slope needs two points
        return None
    return float(rates[first + int(np.gradient(values[first:last], along[first:last]).argmin())])
