"""Judge range curves: the bounds inside which a learning rate is worth searching, and how sure they are."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lrrt.bounds import Bounds, Verdict
from lrrt.curve import RangeCurve
from lrrt.factors import HIDDEN_ABOVE_EDGE, LAGGING_LIFT, LAGGING_ROOM, ROOM, WIDTH, below_edge, lags, length_factor
from lrrt.reading import Reading, Shape, read_curve

SURE = 6.0  # standard errors of the drop, over all repeats together
SURE_LOCALLY = 10.0  # if each smoothed loss has its own, from some six differences: 1 % of curves of noise exceed it
FAR = 1000.0  # times the first rate: even Lion's bounds, for a training of 200,000 updates, lie within it below an edge
LOWER = "; lower start_lr"
BELOW_RAMP = f"low lies below the first rate that was tried, where nothing was seen{LOWER}"
MOST_STEPS = 1e18  # of a training; its logarithm and its JSON are numbers
MOST = 700.0  # natural logarithm of a rate; float64 reaches from -744 to 709
BEHIND = "in so few updates BatchNorm's moving averages lag behind the weights; train longer or lower their momentum"
FROM_NOTHING = {
    "ftrl": "Ftrl's first step puts nearly 0 in place of the initial weights, at any rate, and hidden layers may not "
    "learn from there; a lower start_lr does not change that"
}  # w = (1 - sqrt(n / n')) w - lr g / sqrt(n'), with n' = n + g^2 and n = .1 at the start (McMahan 2013, section 3.1)
AGREEMENT = 10.0  # the factor within which the repeats' edges lie if they agree
_NO_ANSWER = {
    Shape.FLAT: Verdict.FLAT,
    Shape.NOISY: Verdict.TOO_NOISY,
    Shape.DIVERGES: Verdict.DIVERGES,
    Shape.NON_FINITE: Verdict.NON_FINITE,
    Shape.TOO_FEW: Verdict.TOO_FEW_POINTS,
}


def find_bounds(
    curves: Sequence[RangeCurve],
    *,
    optimizer: str | None = None,
    training_steps: int | None = None,
    averaging_steps: float | None = None,
) -> Bounds:
    """Judge the range curves of one optimizer, one for each repeat.

    Args:
        curves: loss against rate, from `range_test` or from anywhere. At least 10 losses each.
        optimizer: what the optimizer is listed under in `lrrt.factors`, such as "adam"; None if it is not known.
        training_steps: updates of the training to come: the longer it is, the lower its good rates lie. None for some
            five times as many as a ramp over eight decades has steps.
        averaging_steps: updates that the network's moving averages run over, 100 for a default BatchNorm; None without.

    Returns:
        Bounds around the suggestion, which lies below the median edge of the repeats (see `Reading`) by the optimizer's
        factor, times the factor of the length: `[suggested / 4.5, 4.5 suggested]`, and never above the rate of
        divergence. If moving averages lag in so few updates, they are higher, and uncertain. If noise hides the fall,
        or the optimizer forgets the initial weights, they reach to 15 times the edge, with the middle as suggestion.
        They do not change when losses are scaled or shifted, and move with the rates. None if there is no answer, with
        the reason. The rule is lrrt's own; its factors are fitted to full trainings (see `lrrt.factors`).

    Raises:
        ValueError: if there is no curve, or `training_steps` or `averaging_steps` is no such number.

    >>> lrs = [10 ** (i / 12 - 7) for i in range(97)]
    >>> losses = [2 - min(lr / 1e-2, 1) + (lr / 3e-1) ** 2 for lr in lrs]
    >>> bounds = find_bounds([RangeCurve(tuple(lrs), tuple(losses))], optimizer="adam")
    >>> bounds.verdict.name, round(bounds.low, 4), round(bounds.high, 3), round(bounds.suggested, 4)
    ('FOUND', 0.0009, 0.019, 0.0043)
    """
    if not curves:
        raise ValueError("`find_bounds` must be given at least one curve, got none.")
    if training_steps is not None and not 1 <= training_steps < MOST_STEPS:
        raise ValueError(
            f"`training_steps` must be >= 1 and < {MOST_STEPS:.0e}, or None if not known, got {training_steps!r:.80}."
        )
    if averaging_steps is not None and not averaging_steps >= 1:
        raise ValueError(f"`averaging_steps` must be >= 1, or None without any, got {averaging_steps!r}.")
    training_steps = None if training_steps is None else int(training_steps)  # of NumPy's numbers, or 2e3
    averaging_steps = None if averaging_steps is None else float(averaging_steps)
    readings = _readings(curves)
    seen = [reading for reading in readings if reading.edge is not None]
    if 2 * len(seen) <= len(readings):
        no_answer = _without_answer(curves, readings)
        reason = _watched(curves, no_answer.reason)
        if optimizer in FROM_NOTHING:
            reason = f"{reason.replace(LOWER, '')}; {FROM_NOTHING[optimizer]}"
        return replace(no_answer, reason=reason, training_steps=training_steps, averaging_steps=averaging_steps)
    edge, diverged = _median([reading.edge for reading in seen]), _median([reading.diverged for reading in seen])
    density = max(_steps_a_decade(curve.lrs, edge) for curve in curves)
    suggested = edge / below_edge(optimizer) * length_factor(training_steps, density)
    is_lagging = lags(training_steps, averaging_steps)
    suggested *= LAGGING_LIFT if is_lagging else 1.0
    low, high = suggested / WIDTH, WIDTH * suggested
    high = LAGGING_ROOM * high if is_lagging else min(high, diverged)
    if _is_hidden(seen) or optimizer in FROM_NOTHING:
        end = math.inf if optimizer in FROM_NOTHING else _median([curve.lrs[-1] for curve in curves if curve.lrs])
        high = max(high, min(HIDDEN_ABOVE_EDGE * edge, end))
        suggested = math.sqrt(low) * math.sqrt(high)
    is_below_ramp = low < min(curve.lrs[0] for curve in curves if curve.lrs)
    verdict, reason = _judge(readings, seen, is_lagging=is_lagging, is_below_ramp=is_below_ramp)
    if optimizer in FROM_NOTHING and (verdict is Verdict.FOUND or BELOW_RAMP in reason):
        verdict, reason = Verdict.LOW_CONFIDENCE, f"{Verdict.LOW_CONFIDENCE.value}: {FROM_NOTHING[optimizer]}"
    reason = _watched(curves, reason + _after(curves, readings, was_needed=verdict is Verdict.FOUND))
    return Bounds(
        low=low,
        high=high,
        suggested=suggested,
        verdict=verdict,
        reason=reason,
        lowest=_median_or_none([reading.lowest for reading in seen]),
        steepest=_median_or_none([reading.steepest for reading in seen]),
        diverged=diverged,
        training_steps=training_steps,
        averaging_steps=averaging_steps,
    )


def more_would_help(curves: Sequence[RangeCurve]) -> bool:
    """Say whether these curves leave a doubt that another repeat may dispel.

    None may if the fall is far more than its noise in each of them: not where they lie, nor that they end too low.
    """
    readings = _readings(curves)
    return any(reading.edge is None for reading in readings) or _doubt(readings, readings) is not None


def shows_bounds(curve: RangeCurve) -> bool:
    """Say whether a curve with untrained losses falls and rises without doubt, so that it is worth more than without.

    >>> shows_bounds(RangeCurve((1e-3, 1e-2), (2.0, 1.0)))
    False
    """
    (reading,) = _readings([curve])
    return reading.confidence > SURE_LOCALLY and not reading.is_open


def leaves_room(curve: RangeCurve) -> bool:
    """Say whether a curve shows its bounds without doubt, and so far above its first rate that they lie above it.

    >>> leaves_room(RangeCurve((1e-3, 1e-2), (2.0, 1.0)))
    False
    """
    (reading,) = _readings([curve])
    return reading.edge is not None and reading.edge >= FAR * curve.lrs[0] and not more_would_help([curve])


def _readings(curves: Sequence[RangeCurve]) -> list[Reading]:
    return [_with_room(read_curve(curve.judged()), curve.lrs[:1]) for curve in curves]


def _judge(
    readings: Sequence[Reading], seen: Sequence[Reading], *, is_lagging: bool, is_below_ramp: bool
) -> tuple[Verdict, str]:
    """Return the verdict on readings that give bounds, and the sentence shown."""
    if 2 * sum(reading.is_open for reading in seen) > len(seen):
        return Verdict.NEVER_DIVERGES, Verdict.NEVER_DIVERGES.value
    doubt = (BEHIND if is_lagging else None) or _doubt(readings, seen) or (BELOW_RAMP if is_below_ramp else None)
    if doubt is None:
        return Verdict.FOUND, Verdict.FOUND.value
    return Verdict.LOW_CONFIDENCE, f"{Verdict.LOW_CONFIDENCE.value}: {doubt}"


def _after(curves: Sequence[RangeCurve], readings: Sequence[Reading], *, was_needed: bool) -> str:
    """Say after how many curves that is the verdict, and what of the first one left doubt if others dispelled it.

    If untrained losses dispelled some, it says so as well.
    """
    first = readings[:1]
    doubt = _doubt(first, first) if readings[0].edge is not None else readings[0].shape.value
    why = f", since of the first alone {doubt.split(';')[0]}" if was_needed and len(readings) > 1 and doubt else ""
    batches = f"the untrained losses of {'its' if len(readings) == 1 else 'their'} batches"
    quieter = f", from which {batches} are subtracted" if any(curve.untrained for curve in curves) else ""
    return f" (after {len(readings)} curve{'s' if len(readings) > 1 else ''}{quieter}{why})"


def _watched(curves: Sequence[RangeCurve], reason: str) -> str:
    """Return a sentence about losses as one about what was watched."""
    return curves[0].monitor.in_words(reason)


def _doubt(readings: Sequence[Reading], seen: Sequence[Reading]) -> str | None:
    """Return why bounds are uncertain and what helps, None if they are not."""
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
    """Take back an edge that was read from a rise alone, if the ramp began too near to it to tell what is below."""
    if reading.shape is Shape.FALLS_UNSEEN and reading.edge is not None and reading.edge / ROOM <= first_rate[0]:
        return Reading(Shape.DIVERGES)
    return reading


def _without_answer(curves: Sequence[RangeCurve], readings: Sequence[Reading]) -> Bounds:
    shapes = Counter(reading.shape for reading in readings if reading.edge is None)
    most = shapes.most_common(1)[0][0]
    num_seen = len(readings) - shapes.total()
    verdict = Verdict.TOO_NOISY if num_seen else _NO_ANSWER[most]
    ending = (
        f" ({num_seen} of {len(readings)} repeats showed bounds)"
        if num_seen
        else _after(curves, readings, was_needed=False)
    )
    return Bounds(None, None, None, verdict, verdict.value + ending)


def _steps_a_decade(lrs: Sequence[float], edge: float) -> int:
    """Count the rates that were tried in the decade below the edge."""
    return sum(edge / 10 < lr <= edge for lr in lrs)


def _median(rates: Sequence[float | None]) -> float:
    """Return the median in log rate, far enough from the ends of float64 for every factor of the rule."""
    middle = float(np.median(np.log([rate for rate in rates if rate is not None])))
    return math.exp(min(max(middle, -MOST), MOST))


def _median_or_none(rates: Sequence[float | None]) -> float | None:
    return _median(rates) if any(rate is not None for rate in rates) else None
