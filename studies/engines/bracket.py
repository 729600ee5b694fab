"""Say from trials of any optimizer between which rates the best one lies, in units of the optimizers' bounds.

Bounds may be wrong, and those of several optimizers are often wrong alike. So the first trials bracket the best rate,
as a line search does, and step outwards, further each time, as long as that is better (Press et al., Numerical Recipes,
section 10.1). That takes three trials if the bounds are right, and four or five if they are a decade off. Inside
the bracket the next rate lies at the side of the best one to which a parabola through it and its neighbours points, at
a golden section or, if that is further, at the lowest point of the parabola (section 10.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_STEP = 0.5  # from the suggested rate towards a bound
GROWTH = 1.618034  # of the steps outwards: the golden ratio, as there
FURTHEST = 2.0  # a step outwards begins at most a decade beyond the bounds
CLEARLY = 0.1  # of the range of costs: so much worse suggested rates must be before the search leaves them
SECTION = 0.381966  # of a part of a bracket: the golden section, as there
FARTHEST = 0.9  # of either part of a bracket
UNEVEN = 2.0  # the wider part of a bracket is cut first if it is so many times as wide
NARROW = 0.1  # a bracket in which nothing is left to find: what rates differ by there is noise


@dataclass(frozen=True, slots=True)
class Seen:
    """What a trial showed: its optimizer, the position of its rate in the bounds, and its cost."""

    arm: str
    position: float
    cost: float


def bracket(seen: Sequence[Seen], *, least: float = 0.0) -> tuple[float, float]:
    """Return between which positions the best rate lies, if a cost rises to both sides of it; infinite if unknown.

    The best rate lies between any two trials of an optimizer that are worse than its best one, at either side of that.
    Costs of different optimizers are not compared.

    Args:
        seen: the trials that have ended.
        least: how much worse a trial must be.

    >>> bracket([Seen("sgd", 0.0, 0.4), Seen("sgd", 0.5, 0.3), Seen("adam", 0.5, 0.2), Seen("adam", 1.5, 0.9)])
    (0.0, 1.5)
    """
    best: dict[str, Seen] = {}
    for one in seen:
        best[one.arm] = min(best.get(one.arm, one), one, key=lambda each: each.cost)
    worse = [(one.position, best[one.arm].position) for one in seen if one.cost > best[one.arm].cost + least]
    below = [position for position, of_best in worse if position < of_best]
    above = [position for position, of_best in worse if position > of_best]
    return max(below, default=-math.inf), min(above, default=math.inf)


def centre_of(seen: Sequence[Seen]) -> float:
    """Return the position around which a search goes on: 0, or the best beyond the bounds if trials exclude 0."""
    if not seen:
        return 0.0
    costs = [one.cost for one in seen]
    low, high = bracket(seen, least=CLEARLY * (max(costs) - min(costs)))
    if low < 0 < high:
        return 0.0
    best = min(seen, key=lambda one: one.cost).position
    return best if abs(best) > 1 and low <= best <= high else 0.0


def next_step(seen: Sequence[Seen], running: Sequence[float], *, up_first: bool) -> float | None:
    """Return the position that should be tried next to bracket the best one; None if that is done, or under way.

    Args:
        seen: the trials that have ended.
        running: the positions of those that run, or have failed.
        up_first: whether the first step goes to higher rates.
    """
    sides = (1, -1) if up_first else (-1, 1)
    if not seen:
        first = [side * FIRST_STEP for side in sides if running]
        return next((step for step in first if all(not math.isclose(step, one) for one in running)), None)
    low, high = bracket(seen)
    is_open = {1: high == math.inf, -1: low == -math.inf}
    if low >= high:
        return None
    for side in sides:
        outwards = sorted({one.position for one in seen} | set(running), key=lambda position: side * position)
        end = outwards[-1]
        if is_open[side] and abs(end) <= FURTHEST and any(one.position == end for one in seen):
            inner = outwards[-2] if len(outwards) > 1 and end else None
            return end + side * (FIRST_STEP if inner is None else GROWTH * abs(end - inner))
    return None


def refined(seen: Sequence[Seen]) -> float | None:
    """Return the position that an optimizer should try next between the two neighbours of its best trial.

    Args:
        seen: the trials of this optimizer that have ended.

    Returns:
        The position; None if the best trial has no neighbour at one side, or if the two are close together.

    >>> refined([Seen("sgd", -1.0, 0.9), Seen("sgd", 0.0, 0.1), Seen("sgd", 1.0, 0.5)])
    0.381966
    """
    at = sorted(seen, key=lambda one: one.position)
    best = min(range(len(at)), key=lambda index: at[index].cost, default=0)
    if not 0 < best < len(at) - 1:
        return None
    low, middle, high = at[best - 1 : best + 2]
    if high.position - low.position <= NARROW:
        return None
    below, above = middle.position - low.position, high.position - middle.position
    upwards, downwards = below * (middle.cost - high.cost), above * (low.cost - middle.cost)
    aside = 0.0 if upwards == downwards else (above * downwards + below * upwards) / (downwards - upwards) / 2
    if max(below, above) > UNEVEN * min(below, above):
        aside = math.copysign(aside, above - below)
    part = above if aside > 0 else below
    return middle.position + math.copysign(min(max(abs(aside), SECTION * part), FARTHEST * part), aside)
