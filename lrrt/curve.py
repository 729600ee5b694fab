"""Hold a range curve, loss against learning rate; smooth it, and find where the loss broke down."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import PositiveFloat

from lrrt.monitor import LOSS, Monitor
from lrrt.plain import Losses, Named

Floats = NDArray[np.float64]

DELTA_WINDOW = 20  # steps; the moving average of the article's loss-delta picture
HALF_WINDOW = 0.25  # decades on either side of a running median: 7 points of the default ramp, enough to lose a spike
PLATEAU = 1.0  # decades at the start that give the starting level, an eighth of the ramp at the most
MIN_PLATEAU = 5  # points
SIGNIFICANT = 4.0  # standard errors; pure noise exceeds it in about 5 % of curves, at any number of steps
RESOLUTION = 1e-6  # of the loss; a smaller drop is rounding of 32-bit floats
BLOCK = 1024  # points smoothed at a time
SLACK = 1e-6  # decades; rates that are equal but for rounding are equal


class Stop(Named):
    """Why a range test ended; the value is the sentence shown."""

    COMPLETED = "all steps were done"
    DIVERGED = "the smoothed loss rose above its starting level after it had fallen"
    NON_FINITE = "the loss became infinite or not a number"


@dataclass(frozen=True, slots=True)
class RangeCurve:
    """Loss against learning rate in one range test: `losses[i]` is the loss of the batch trained on at `lrs[i]`.

    Where something else than the training loss was watched, `monitored[i]` is what it was at `lrs[i]`, and `monitor`
    says what and how often; then bounds are read from it. `untrained[i]` is the loss of the same batch at the weights
    that the ramp began with, if it was measured: their difference is what was learnt, without what the batch's samples
    are like. `stop` is why the test ended, `seed` what its weights and its order of the data came from. `num_steps`
    counts the training steps that it took, where they are more than those kept; what was trained after a breakdown is
    not.

    Raises:
        ValueError: unless `lrs`, `losses` and, where there is any, `monitored` have one length and the rates are
            positive and ascending.
    """

    lrs: tuple[PositiveFloat, ...]
    losses: Losses
    stop: Stop = Stop.COMPLETED
    seed: int | None = None
    monitor: Monitor = LOSS
    monitored: Losses = ()
    num_steps: int = 0  # older files do not have it
    untrained: Losses = ()

    def __post_init__(self) -> None:
        if len(self.lrs) != len(self.losses):
            raise ValueError(f"Each rate must have one loss, got {len(self.lrs)} rates and {len(self.losses)} losses.")
        if len(self.monitored) != (0 if self.monitor == LOSS else len(self.lrs)):
            raise ValueError(
                f"Each rate must have one value of {self.monitor.name!r}, and none for the loss itself, got "
                f"{len(self.lrs)} rates and {len(self.monitored)} values."
            )
        if len(self.untrained) not in (0, len(self.lrs)):
            raise ValueError(
                f"Each rate must have one untrained loss, or none must, got {len(self.lrs)} rates and "
                f"{len(self.untrained)} untrained losses."
            )
        if not all(0 < lr < math.inf for lr in self.lrs) or any(
            a >= b for a, b in zip(self.lrs, self.lrs[1:], strict=False)
        ):
            raise ValueError(f"`lrs` must be positive and ascending, got {self.lrs!r}.")

    @classmethod
    def from_run(
        cls,
        lrs: ArrayLike,
        losses: ArrayLike,
        *,
        seed: int | None = None,
        monitor: Monitor = LOSS,
        monitored: ArrayLike = (),
    ) -> Self:
        """Cut what a range test recorded where its loss became non-finite or diverged.

        Args:
            lrs: rates tried, shape `(num_steps,)`.
            losses: each step's own loss, shape `(num_steps,)` or shorter where the run stopped early.
            seed: what the initial weights and the order of the data came from.
            monitor: what was watched.
            monitored: its values, of the losses' shape; left out where it is the loss.
        """
        values = np.asarray(losses, float)
        rates = np.asarray(lrs, float)[: len(values)]
        num_kept = count_finite(values)
        stop = Stop.NON_FINITE if num_kept < len(values) else Stop.COMPLETED
        breakdown = find_breakdown(rates[:num_kept], values[:num_kept])
        if breakdown is not None:
            seen = rates[breakdown] * 10**HALF_WINDOW  # what the smoothed loss at the breakdown was made of
            stop, num_kept = Stop.DIVERGED, min(num_kept, int(np.searchsorted(rates, seen, side="right")))
        watched = () if monitor == LOSS else tuple(np.asarray(monitored, float)[:num_kept].tolist())
        measured = tuple(rates[:num_kept].tolist()), tuple(values[:num_kept].tolist())
        return cls(*measured, stop, seed, monitor, watched, num_steps=len(values))

    def judged(self) -> RangeCurve:
        """Return the curve that bounds are read from: what was watched, where it was measured, less being better.

        If the batches' untrained losses are known, each loss is moved by as much as its batch's lies off their mean.
        """
        if self.untrained:
            untrained = np.asarray(self.untrained, float)
            losses = tuple((np.asarray(self.losses, float) - (untrained - untrained.mean())).tolist())
            return replace(self, losses=losses)
        if self.monitor == LOSS:
            return self
        sign = self.monitor.sign
        every = slice(None, None, self.monitor.every)
        return RangeCurve(self.lrs[every], tuple(sign * value for value in self.monitored[every]), self.stop, self.seed)


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
    median is not moved by spikes, nor by a last loss of 1e30. Each window has a neighbour on either side at least.

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

    It has where it stands above the starting level after it had fallen below it, both by more than noise. The unit is
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
