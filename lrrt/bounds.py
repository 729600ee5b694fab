"""Knows how range curves become bounds: where a learning rate is worth searching, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from lrrt.curve import Floats, RangeCurve, Stop, count_finite, find_divergence, smooth, starting_level

BELOW_LOWEST = 30.0  # a full training takes many more steps than a range test and does well at far smaller rates
SUGGESTED_BELOW_LOWEST = 10.0  # "a bit left of the lowest"; fast.ai's lowest / 10
MIN_POINTS = 10
NOISE_FACTOR = 3.0  # a drop below so many standard errors of the start's noise is no descent


class Verdict(Enum):
    """What a range test showed; the value is the sentence shown."""

    FOUND = "bounds found"
    NEVER_DIVERGES = "the loss never diverged, so `high` is only where the test ended; raise end_lr"
    FLAT = "the loss did not fall at any rate"
    TOO_FEW_POINTS = "too few finite losses to judge; lower start_lr or raise num_steps"
    NON_FINITE = "the loss was not finite from the first step; check the data and the model"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The learning rates worth searching for one optimizer; all rates are None where the test has no answer.

    `low` and `high` are Smith's base_lr and max_lr; `suggested` is a first choice for a constant rate; `lowest` and
    `steepest` are the rates at the lowest and the steepest point of the smoothed curve, median over the repeats.

    Raises:
        ValueError: unless `0 < low <= suggested <= high < inf`, or all three are None.
    """

    low: float | None
    high: float | None
    suggested: float | None
    verdict: Verdict
    reason: str
    lowest: float | None = None
    steepest: float | None = None

    def __post_init__(self) -> None:
        rates = (self.low, self.suggested, self.high)
        if all(rate is None for rate in rates):
            return
        if any(rate is None for rate in rates) or not 0 < rates[0] <= rates[1] <= rates[2] < math.inf:  # type: ignore[operator]
            raise ValueError(f"`0 < low <= suggested <= high` must hold, got {rates!r}.")

    @property
    def decades(self) -> float | None:
        """The width of the bounds in decades: `log10(high / low)`."""
        return None if self.low is None or self.high is None else math.log10(self.high / self.low)


@dataclass(frozen=True, slots=True)
class _Reading:
    lowest: float
    steepest: float
    end: float
    diverged: bool


def find_bounds(curves: Sequence[RangeCurve]) -> Bounds:
    """Judge the range curves of one optimizer, one for each repeat.

    Args:
        curves: loss against rate, from `range_test` or from anywhere.

    Returns:
        Bounds whose rates are medians over the repeats, or None with the reason why there is no answer.

    Raises:
        ValueError: where there is no curve.
    """
    if not curves:
        raise ValueError("`find_bounds` must be given at least one curve, got none.")
    finite = [_finite_part(curve) for curve in curves]
    shortest = min(len(losses) for _, losses in finite)
    if shortest == 0:
        return _no_answer(Verdict.NON_FINITE, Verdict.NON_FINITE.value)
    if shortest < MIN_POINTS:
        return _no_answer(Verdict.TOO_FEW_POINTS, f"{Verdict.TOO_FEW_POINTS.value} ({shortest} losses)")
    falling = [part for part in finite if _falls(*part)]
    if len(falling) <= len(finite) / 2:
        return _no_answer(Verdict.FLAT, f"{Verdict.FLAT.value} ({len(falling)} of {len(finite)} repeats fell)")
    readings = [_read(lrs, losses, curve) for (lrs, losses), curve in zip(finite, curves, strict=True) if _falls(lrs, losses)]
    lowest = _median([reading.lowest for reading in readings])
    high = max(_median([reading.end for reading in readings]), lowest)
    diverged = sum(reading.diverged for reading in readings) > len(readings) / 2
    verdict = Verdict.FOUND if diverged else Verdict.NEVER_DIVERGES
    return Bounds(
        low=lowest / BELOW_LOWEST,
        high=high,
        suggested=lowest / SUGGESTED_BELOW_LOWEST,
        verdict=verdict,
        reason=verdict.value,
        lowest=lowest,
        steepest=_median([reading.steepest for reading in readings]),
    )


def _finite_part(curve: RangeCurve) -> tuple[Floats, Floats]:
    end = count_finite(curve.losses)
    return np.asarray(curve.lrs[:end], float), np.asarray(curve.losses[:end], float)


def _falls(lrs: Floats, losses: Floats) -> bool:
    """Say whether the smoothed loss falls by more than the noise of the losses explains."""
    smoothed = smooth(lrs, losses)
    lowest = int(smoothed.argmin())
    noise = float(np.median(np.abs(np.diff(losses[: lowest + 2])))) if lowest else 0.0
    return starting_level(losses) - float(smoothed[lowest]) > NOISE_FACTOR * noise


def _read(lrs: Floats, losses: Floats, curve: RangeCurve) -> _Reading:
    smoothed = smooth(lrs, losses)
    diverged = find_divergence(lrs, losses)
    end = len(lrs) if diverged is None else diverged
    lowest = int(smoothed[: max(end, 1)].argmin())
    slopes = np.gradient(smoothed, np.log(lrs))[: lowest + 1]
    return _Reading(
        lowest=float(lrs[lowest]),
        steepest=float(lrs[int(slopes.argmin())]),
        end=float(lrs[min(end, len(lrs) - 1)]),
        diverged=diverged is not None or curve.stop is Stop.NON_FINITE or len(losses) < len(curve.losses),
    )


def _median(rates: Sequence[float]) -> float:
    """Return the median in log rate."""
    return float(np.exp(np.median(np.log(rates))))


def _no_answer(verdict: Verdict, reason: str) -> Bounds:
    return Bounds(None, None, None, verdict, reason)
