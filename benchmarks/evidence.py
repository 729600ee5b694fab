"""Judge what was recorded of each case by the rule of the bounds as it is now."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from recorded import Case, Recorded, replayed
from truths import Answer

from lrrt import Bounds, RangeCurve
from lrrt.reading import Shape, read_curve
from lrrt.sharpening import sharpen
from lrrt.short_trainings import Confirmation

NEAR = math.log(1.05)  # bounds that differ by less are the same


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on one case.

    `edge` and `diverged` are what is read from the curves that the bounds are of, None for curves without a fall;
    `num_steps` what they took; `whole` three range curves with nothing cut off, none if the case has only cold probes;
    `confirmed` the bounds that the short trainings of `confirmation` sharpened.
    """

    kind: str
    full_steps: int
    edge: float | None
    diverged: float | None
    bounds: Bounds
    num_steps: int = 0
    whole: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...] = ()
    confirmed: Bounds | None = None
    confirmation: Confirmation | None = None


def evidence_of(recorded: Mapping[Case, Recorded]) -> dict[Case, Evidence]:
    """Judge what was recorded by the rule as it is now."""
    known: dict[str, set[int]] = {}
    evidence = {}
    for (task, label), case in recorded.items():
        curves = replayed(case, known.setdefault(task, set()))
        seen = read_evidence(curves, case.kind, case.full_steps, case.bounds(curves))
        whole = () if case.is_cold else tuple((case.lrs[: len(losses)], losses) for losses in case.ramps)
        confirmed, was = None, case.confirmed
        if was is not None and are_near(was, seen.bounds):
            confirmed = seen.bounds
            if case.confirmation is not None:
                confirmed = sharpen(seen.bounds, case.confirmation, optimizer=case.kind)
        confirmation = case.confirmation if confirmed is not None else None
        evidence[task, label] = replace(seen, whole=whole, confirmed=confirmed, confirmation=confirmation)
    return evidence


def are_near(was: Bounds, now: Bounds) -> bool:
    """Say whether short trainings for bounds as they were tell something of the bounds as they are now."""
    if was.low is None or now.low is None or was.high is None or now.high is None:
        return was.low == now.low
    return max(abs(math.log(was.low / now.low)), abs(math.log(was.high / now.high))) < NEAR


def read_evidence(curves: Sequence[RangeCurve], kind: str, full_steps: int, bounds: Bounds) -> Evidence:
    """Read the edge of the curves that bounds are of, as for the bounds."""
    readings = [read_curve(curve.judged()) for curve in curves]
    falls = [reading for reading in readings if reading.shape is Shape.FALLS]
    is_seen = 2 * len(falls) > len(curves)
    return Evidence(
        kind,
        full_steps,
        median(reading.edge for reading in falls) if is_seen else None,
        median(reading.diverged for reading in falls) if is_seen else None,
        bounds,
        sum(max(curve.num_steps, len(curve.lrs)) for curve in curves),
    )


def answer_of(bounds: Bounds | None, num_steps: int) -> Answer:
    return Answer() if bounds is None else Answer(bounds.low, bounds.high, bounds.suggested, num_steps)


def confirmed_answer(seen: Evidence, bounds: Bounds | None) -> Answer:
    spent = 0 if seen.confirmation is None else seen.confirmation.num_steps
    return answer_of(bounds, seen.num_steps + spent)


def median(rates: Iterable[float | None]) -> float | None:
    """Return the median in log rate of what was read, None if nothing was."""
    logs = [math.log(rate) for rate in rates if rate is not None]
    return math.exp(statistics.median(logs)) if logs else None
