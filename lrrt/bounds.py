"""Judge range curves: the bounds inside which a learning rate is worth searching, and how sure they are."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from lrrt.curve import RangeCurve
from lrrt.reading import Reading, Shape, read_curve

# The factors are round numbers fitted to full trainings of 42 real cases; benchmarks/bounds_quality.py scores them.
BELOW_EDGE = 20.0  # low = edge / 20: the good rates of all cases reach to 1.23 decades below the edge at the least
ABOVE_EDGE = 1.5  # high = 1.5 edge, and never above the rate of divergence
SUGGESTED_BELOW_EDGE = 5.0  # the middle of the flat part of the regret
LION_FACTOR = 3.0  # Lion moves each weight by the whole rate: 3 to 10 times below Adam (Chen 2023, arXiv:2302.06675)
SURE = 6.0  # standard errors of the drop, over all repeats together
HIDDEN_FACTOR = (
    10.0  # what learns too slowly to be seen in a short test does best far above the first rise that is seen
)
BELOW_RAMP = "low lies below the first rate that was tried, where nothing was seen; lower start_lr"
MOST = 700.0  # natural logarithm of a rate; float64 reaches from -744 to 709
AGREEMENT = 10.0  # the factor within which the repeats' edges lie where they agree


class Verdict(Enum):
    """What a range test showed; the value is the sentence shown, to which `Bounds.reason` adds what this test tells."""

    FOUND = "bounds found"
    LOW_CONFIDENCE = "bounds found, but they are uncertain"
    NEVER_DIVERGES = "the loss never rose again, so high is only where the test ended; raise end_lr"
    FLAT = "the loss did not fall at any rate; check the labels and that the model can train, or raise end_lr"
    TOO_NOISY = "the loss may have fallen, but the noise hides it; raise the batch size, repeats or num_steps"
    DIVERGES = "the loss rose from the start without having fallen; lower start_lr"
    NON_FINITE = "the loss was not finite before it had fallen; check the data and the model, or lower start_lr"
    TOO_FEW_POINTS = "there are too few losses to judge; raise num_steps"


_NO_ANSWER = {
    Shape.FLAT: Verdict.FLAT,
    Shape.NOISY: Verdict.TOO_NOISY,
    Shape.DIVERGES: Verdict.DIVERGES,
    Shape.NON_FINITE: Verdict.NON_FINITE,
    Shape.TOO_FEW: Verdict.TOO_FEW_POINTS,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The learning rates worth searching for one optimizer; the rates are None where the test has no answer.

    `low` and `high` are Smith's base_lr and max_lr, `suggested` is a first choice for a constant rate. The article's
    readings, medians over the repeats: `lowest`, the rate at the lowest loss, which is the largest that Smith (2018,
    section 4.1) takes for the maximum of a cycle; `steepest`, where the loss falls fastest; `diverged`, where the loss
    is back above its starting level, or the end of the ramp.

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
    diverged: float | None = None

    def __post_init__(self) -> None:
        low, suggested, high = self.low, self.suggested, self.high
        if low is None and suggested is None and high is None:
            return
        if low is None or suggested is None or high is None or not 0 < low <= suggested <= high < math.inf:
            raise ValueError(f"`0 < low <= suggested <= high` must hold, got {(low, suggested, high)!r}.")

    @property
    def cyclical_high(self) -> float | None:
        """The largest maximum for a cyclical rate, which may be larger than a constant rate (Smith 2018, 4.1)."""
        return self.high if self.high is None or self.lowest is None else max(self.high, self.lowest)

    @property
    def decades(self) -> float | None:
        """The width of the bounds in decades: `log10(high / low)`."""
        return None if self.low is None or self.high is None else math.log10(self.high / self.low)


def find_bounds(curves: Sequence[RangeCurve], *, optimizer: str | None = None) -> Bounds:
    """Judge the range curves of one optimizer, one for each repeat.

    Args:
        curves: loss against rate, from `range_test` or from anywhere. At least 10 losses each.
        optimizer: the Keras name of the optimizer, where it is known; it matters for "lion".

    Returns:
        Bounds from the median edge of the repeats (see `Reading`): `[edge / 20, 1.5 edge]`; where noise hides the fall,
        up to ten times as high, with the middle as suggestion. They do not change when losses are scaled or shifted,
        and move with the rates. None where there is no answer, with the reason.

    Raises:
        ValueError: where there is no curve.

    >>> lrs = [10 ** (i / 12 - 7) for i in range(97)]
    >>> losses = [2 - min(lr / 1e-2, 1) + (lr / 3e-1) ** 2 for lr in lrs]
    >>> bounds = find_bounds([RangeCurve(tuple(lrs), tuple(losses))])
    >>> bounds.verdict.name, round(bounds.low, 4), round(bounds.high, 3), round(bounds.suggested, 4)
    ('FOUND', 0.0026, 0.077, 0.0102)
    """
    if not curves:
        raise ValueError("`find_bounds` must be given at least one curve, got none.")
    readings = [_with_room(read_curve(curve.judged()), curve.lrs[:1]) for curve in curves]
    seen = [reading for reading in readings if reading.edge is not None]
    if 2 * len(seen) <= len(readings):
        return _without_answer(readings)
    shift = LION_FACTOR if optimizer == "lion" else 1.0
    edge = _median([reading.edge for reading in seen]) / shift
    diverged = _median([reading.diverged for reading in seen])
    low, high, suggested = edge / BELOW_EDGE, min(ABOVE_EDGE * edge, diverged / shift), edge / SUGGESTED_BELOW_EDGE
    if _is_hidden(seen):
        ends = [curve.lrs[-1] for curve in curves if curve.lrs]
        high = max(high, min(HIDDEN_FACTOR * high, _median(ends) / shift))
        suggested = math.sqrt(low) * math.sqrt(high)
    verdict, reason = _judge(readings, seen, is_below_ramp=low < min(curve.lrs[0] for curve in curves if curve.lrs))
    return Bounds(
        low=low,
        high=high,
        suggested=suggested,
        verdict=verdict,
        reason=reason,
        lowest=_median_or_none([reading.lowest for reading in seen]),
        steepest=_median_or_none([reading.steepest for reading in seen]),
        diverged=diverged,
    )


def _judge(readings: Sequence[Reading], seen: Sequence[Reading], *, is_below_ramp: bool) -> tuple[Verdict, str]:
    """Return the verdict on readings that give bounds, and the sentence shown."""
    if 2 * sum(reading.is_open for reading in seen) > len(seen):
        return Verdict.NEVER_DIVERGES, Verdict.NEVER_DIVERGES.value
    doubt = _doubt(readings, seen) or (BELOW_RAMP if is_below_ramp else None)
    if doubt is None:
        return Verdict.FOUND, Verdict.FOUND.value
    return Verdict.LOW_CONFIDENCE, f"{Verdict.LOW_CONFIDENCE.value}: {doubt}"


def _doubt(readings: Sequence[Reading], seen: Sequence[Reading]) -> str | None:
    """Return why bounds are uncertain and what helps, None where they are not."""
    edges = [reading.edge for reading in seen if reading.edge is not None]
    confidence = float(np.median([reading.confidence for reading in seen])) * math.sqrt(len(seen))
    if len(seen) < len(readings):
        return f"only {len(seen)} of {len(readings)} repeats showed them; raise repeats"
    if any(reading.shape is Shape.FALLS_UNSEEN for reading in seen):
        return "noise hides the fall of the loss, and only its rise is seen; raise num_steps or the batch size"
    if max(edges) > AGREEMENT * 1.00001 * min(edges):
        return f"the repeats differ by a factor of {max(edges) / min(edges):.0f}; raise repeats or num_steps"
    if confidence < SURE:
        return "the loss fell by hardly more than its noise; raise num_steps, repeats or the batch size"
    return None


def _is_hidden(seen: Sequence[Reading]) -> bool:
    """Say whether noise hides the fall in most repeats, so that the edge is read from a rise alone."""
    return 2 * sum(reading.shape is Shape.FALLS_UNSEEN for reading in seen) > len(seen)


def _with_room(reading: Reading, first_rate: tuple[float, ...]) -> Reading:
    """Take back an edge that was read from a rise alone, where the ramp began too near to it to tell what is below."""
    if reading.shape is Shape.FALLS_UNSEEN and reading.edge is not None and reading.edge / BELOW_EDGE <= first_rate[0]:
        return Reading(Shape.DIVERGES)
    return reading


def _without_answer(readings: Sequence[Reading]) -> Bounds:
    shapes = Counter(reading.shape for reading in readings if reading.edge is None)
    most = shapes.most_common(1)[0][0]
    num_seen = len(readings) - shapes.total()
    verdict = Verdict.TOO_NOISY if num_seen else _NO_ANSWER[most]
    told = f" ({num_seen} of {len(readings)} repeats showed bounds)" if num_seen else ""
    return Bounds(None, None, None, verdict, verdict.value + told)


def _median(rates: Sequence[float | None]) -> float:
    """Return the median in log rate, far enough from the ends of float64 for every factor of the rule."""
    middle = float(np.median(np.log([rate for rate in rates if rate is not None])))
    return math.exp(min(max(middle, -MOST), MOST))


def _median_or_none(rates: Sequence[float | None]) -> float | None:
    return _median(rates) if any(rate is not None for rate in rates) else None
