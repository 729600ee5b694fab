"""Smooth a range curve in units of its noise, and find where its loss broke down."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DELTA_WINDOW = 20  # steps; the moving average of the article's loss-delta picture
HALF_WINDOW = 0.25  # decades on either side of a running median: 7 points of the default ramp, enough to lose a spike
PLATEAU = 1.0  # decades at the start that give the starting level, an eighth of the ramp at the most
MIN_PLATEAU = 5  # points
SIGNIFICANT = 4.0  # standard errors; pure noise exceeds it in about 5 % of curves, at any number of steps
RESOLUTION = 1e-6  # of the loss; a smaller drop is rounding of 32-bit floats
BLOCK = 1024  # points smoothed at a time
SLACK = 1e-6  # decades; rates that are equal but for rounding are equal


def count_finite(values: ArrayLike) -> int:
    """Count the finite values before the first one that is not.

    >>> count_finite([3.0, 2.0, float("nan"), 1.0])
    2
    """
    broken = ~np.isfinite(np.asarray(values, float))
    return int(broken.argmax()) if broken.any() else len(broken)


def smooth(lrs: ArrayLike, losses: ArrayLike) -> Floats:
    """Return the running median of the losses over half a decade of learning rate, shape `(num_points,)`.

    A centred window does not move a feature along the rate axis, as a running mean or an exponential one does; a
    median is not moved by spikes, nor by a last loss of 1e30 (Tukey 1977, Exploratory Data Analysis, chapter 7). Each
    window has a neighbour on either side at least.

    >>> smooth([1, 10, 100, 1000], [4.0, 9.0, 1.0, 1.0]).tolist()
    [6.5, 4.0, 1.0, 1.0]
    """
    logs, values = np.log10(np.asarray(lrs, float)), np.asarray(losses, float)
    first, last = _windows(logs)
    blocks = range(0, len(values), BLOCK)  # so that a ramp of many steps does not need their square in memory
    return np.concatenate([_medians(values, first[i : i + BLOCK], last[i : i + BLOCK]) for i in blocks])


def _medians(values: Floats, first: NDArray[np.intp], last: NDArray[np.intp]) -> Floats:
    """Return the median of `values[first[i]:last[i]]` for each i, all in one sort."""
    sizes = last - first
    index = first[:, None] + np.arange(sizes.max())
    windows = np.where(index < last[:, None], values[np.minimum(index, len(values) - 1)], np.inf)
    windows.sort(axis=1)
    rows = np.arange(len(sizes))
    return np.asarray(0.5 * windows[rows, (sizes - 1) // 2] + 0.5 * windows[rows, sizes // 2])


def window_sizes(lrs: ArrayLike) -> NDArray[np.intp]:
    """Return how many losses each smoothed one is the median of, shape `(num_points,)`."""
    first, last = _windows(np.log10(np.asarray(lrs, float)))
    return last - first


def _windows(logs: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    places = np.arange(len(logs))
    first = np.minimum(np.searchsorted(logs, logs - HALF_WINDOW - SLACK), np.maximum(places - 1, 0))
    last = np.maximum(np.searchsorted(logs, logs + HALF_WINDOW + SLACK), np.minimum(places + 2, len(logs)))
    return first, last


def plateau_size(lrs: ArrayLike) -> int:
    """Return how many first losses the starting level is the median of."""
    logs = np.log10(np.asarray(lrs, float))
    width = min(PLATEAU, (logs[-1] - logs[0]) / 8)
    return max(int(np.count_nonzero(logs <= logs[0] + width + SLACK)), MIN_PLATEAU)


def starting_level(lrs: ArrayLike, losses: ArrayLike) -> float:
    """Return the level that the losses start from, in their own unit: the median over the first decade."""
    return float(np.median(np.asarray(losses, float)[: plateau_size(lrs)]))


def noise_of(lrs: ArrayLike, losses: ArrayLike) -> float:
    """Return the standard error of one smoothed loss, from the differences of neighbours up to the lowest point.

    It is inf for a single loss, which has no neighbour.
    """
    changes = np.abs(np.diff(np.asarray(losses, float)))
    if not len(changes):
        return math.inf
    up_to = max(int(np.argmin(smooth(lrs, losses))), plateau_size(lrs))
    return float(_error_of(np.median(changes[:up_to]), np.median(window_sizes(lrs))))


def errors_of(lrs: ArrayLike, losses: ArrayLike, *, are_local: bool = False) -> Floats:
    """Return the standard error of each smoothed loss, in the losses' own unit: the same for all, or each its own.

    Differences to untrained losses scatter the more the further the weights have moved. There each error is that of the
    losses which a smoothed one is made of. None is so small that mere rounding would be more than noise.
    """
    least = max(RESOLUTION / SIGNIFICANT * abs(starting_level(lrs, losses)), float(np.finfo(float).tiny))
    logs, changes = np.log10(np.asarray(lrs, float)), np.abs(np.diff(np.asarray(losses, float)))
    if not are_local or len(changes) < MIN_PLATEAU:
        return np.full(len(logs), max(noise_of(lrs, losses), least))
    first, last = _windows(logs)
    last = np.clip(last - 1, MIN_PLATEAU, len(changes))
    return np.maximum(
        _error_of(_medians(changes, np.minimum(first, last - MIN_PLATEAU), last), last - first + 1), least
    )


def _error_of(change: Any, num_losses: Any) -> Any:
    """Return the standard error of a median of losses whose neighbours differ by so much, in the median.

    1.4826 times the median absolute value is the standard deviation of normal noise (Hampel 1974), a difference of
    two has sqrt(2) times that of one, and a median of n has 1.25 / sqrt(n) of it.
    """
    return 1.25 * 1.4826 / math.sqrt(2) * change / np.sqrt(num_losses)


def find_breakdown(lrs: ArrayLike, losses: ArrayLike, errors: Floats | None = None) -> int | None:
    """Find the first step at which the smoothed loss has diverged, given losses that are finite.

    It has if it stands above the starting level after it had fallen below it, both by more than noise. The unit is
    the noise, so that losses which are negative, near zero, shifted or scaled are judged alike.

    Args:
        lrs: ascending rates, shape `(num_points,)`.
        losses: the loss at each.
        errors: of the smoothed losses, see `errors_of`.
    """
    if len(np.asarray(losses)) < MIN_PLATEAU:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # diverging losses may span all of float64
        rise = smooth(lrs, losses) - starting_level(lrs, losses)
        least = SIGNIFICANT * (errors_of(lrs, losses) if errors is None else errors)
        broken = np.logical_or.accumulate(-rise > least) & (rise > least)
    return int(broken.argmax()) if broken.any() else None


def loss_deltas(losses: ArrayLike, window: int = DELTA_WINDOW) -> Floats:
    """Return the mean change of the loss per step over the last `window` steps, shape `(len(losses) - window,)`.

    The reading that the first Keras range test (Surmenok 2017) introduced: `(loss[i] - loss[i - window]) / window`.

    >>> loss_deltas([5.0, 4.0, 3.0, 5.0], window=2).tolist()
    [-1.0, 0.5]
    """
    values = np.asarray(losses, float)
    return np.asarray((values[window:] - values[:-window]) / window)
