"""Knows a range curve, loss against learning rate, how it is smoothed, and why a range test ended."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DELTA_WINDOW = 20  # steps; the moving average of the article's loss-delta picture
SMOOTHING_DECADES = 0.5  # width of the centred average, in decades of learning rate
START_POINTS = 5  # the starting level is the median of so many first losses, which one spike cannot move
DIVERGED_DROPS = 1.0  # diverged: above the starting level by as much as the loss had fallen below it


class Stop(Enum):
    """Why a range test ended; the value is the sentence shown."""

    COMPLETED = "all steps were done"
    DIVERGED = "the smoothed loss rose above its starting level by as much as it had fallen"
    NON_FINITE = "the loss became infinite or not a number"


@dataclass(frozen=True, slots=True)
class RangeCurve:
    """Loss against learning rate in one range test: `losses[i]` is the loss of the batch trained on at `lrs[i]`.

    Raises:
        ValueError: unless `lrs` and `losses` have one length and the rates are positive and ascending.
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    stop: Stop = Stop.COMPLETED
    seed: int | None = None

    def __post_init__(self) -> None:
        if len(self.lrs) != len(self.losses):
            raise ValueError(f"Each rate must have one loss, got {len(self.lrs)} rates and {len(self.losses)} losses.")
        if not all(0 < lr < math.inf for lr in self.lrs) or any(
            a >= b for a, b in zip(self.lrs, self.lrs[1:], strict=False)
        ):
            raise ValueError(f"`lrs` must be positive and ascending, got {self.lrs!r}.")

    @classmethod
    def from_run(cls, lrs: ArrayLike, losses: ArrayLike, *, seed: int | None = None) -> Self:
        """Cut what a range test recorded where it became non-finite or diverged.

        Args:
            lrs: rates tried, shape `(num_steps,)`.
            losses: each step's own loss, shape `(num_steps,)` or shorter where the run stopped early.
            seed: what the initial weights and the order of the data came from.
        """
        values = np.asarray(losses, float)
        rates = np.asarray(lrs, float)[: len(values)]
        num_finite = count_finite(values)
        end = find_divergence(rates[:num_finite], values[:num_finite])
        stop = Stop.NON_FINITE if num_finite < len(values) else Stop.COMPLETED
        if end is not None:
            stop, num_finite = Stop.DIVERGED, end + 1
        return cls(tuple(rates[:num_finite].tolist()), tuple(values[:num_finite].tolist()), stop, seed)


def count_finite(values: ArrayLike) -> int:
    """Count the finite values before the first one that is not.

    >>> count_finite([3.0, 2.0, float("nan"), 1.0])
    2
    """
    broken = ~np.isfinite(np.asarray(values, float))
    return int(broken.argmax()) if broken.any() else len(broken)


def smooth(lrs: ArrayLike, values: ArrayLike, decades: float = SMOOTHING_DECADES) -> Floats:
    """Average each value with its neighbours within `decades / 2` of log rate on either side.

    A centred window does not move a feature along the rate axis, as a running mean or an exponential one does.
    Near an end the window shrinks on both sides alike.

    >>> smooth([1, 10, 100, 1000], [4.0, 1.0, 1.0, 4.0], decades=2.0).tolist()
    [4.0, 2.0, 2.0, 4.0]
    """
    logs, losses = np.log10(np.asarray(lrs, float)), np.asarray(values, float)
    places = np.arange(len(losses))
    half = decades / 2 + 1e-9
    left = places - np.searchsorted(logs, logs - half, side="left")
    right = np.searchsorted(logs, logs + half, side="right") - 1 - places
    reach = np.minimum(left, right)
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    return np.asarray((sums[places + reach + 1] - sums[places - reach]) / (2 * reach + 1))


def starting_level(losses: ArrayLike) -> float:
    """Return the level that the losses start from: the median of the first few, in the losses' own unit."""
    return float(np.median(np.asarray(losses, float)[:START_POINTS]))


def find_divergence(lrs: ArrayLike, losses: ArrayLike) -> int | None:
    """Find the first step, after the lowest point so far, at which the smoothed loss has diverged.

    The unit is the drop from the starting level to the lowest smoothed loss so far, so that losses which are negative,
    near zero, shifted or scaled are judged alike.
    """
    values = np.asarray(losses, float)
    if len(values) < START_POINTS:
        return None
    start, smoothed = starting_level(values), smooth(lrs, values)
    drop = start - np.minimum.accumulate(smoothed)
    fell = drop > 0.1 * np.max(drop)
    diverged = fell & (np.max(drop) > 0) & (smoothed > start + DIVERGED_DROPS * drop)
    return int(diverged.argmax()) if diverged.any() else None


def loss_deltas(losses: ArrayLike, window: int = DELTA_WINDOW) -> Floats:
    """Return the mean change of the loss per step over the last `window` steps, shape `(len(losses) - window,)`.

    The reading that the first Keras range test (Surmenok 2017) introduced: `(loss[i] - loss[i - window]) / window`.

    >>> loss_deltas([5.0, 4.0, 3.0, 5.0], window=2).tolist()
    [-1.0, 0.5]
    """
    values = np.asarray(losses, float)
    return np.asarray((values[window:] - values[:-window]) / window)
