"""Knows which rates of a ramp the later repeats of a range test need, once the first has shown where it breaks down."""

from lrrt.bounds import SURE
from lrrt.curve import Floats, RangeCurve
from lrrt.reading import MIN_POINTS, Reading, Shape, read_curve

# Scored with the bounds' own factors by benchmarks/bounds_quality.py; a third of the steps is saved.
ROOM_BELOW = 300.0  # of the first edge: below it another starting point moves no loss, but the plateau must be seen
ROOM_ABOVE = 3.0  # of the first divergence, which another starting point may put higher


def rates_near(rates: Floats, first: RangeCurve) -> Floats:
    """Return the rates of the whole ramp that matter to further repeats.

    Args:
        rates: of the whole ramp, shape `(num_steps,)`.
        first: the curve of the first repeat.

    Returns:
        From 1/300 of its edge to three times its rate of divergence; all, where it does not show both clearly, or where
        the part would be too short to be read.
    """
    reading = read_curve(first.judged())
    if not _shows_both(reading) or reading.confidence < SURE:
        return rates
    assert reading.edge is not None
    assert reading.diverged is not None
    near = rates[(rates >= reading.edge / ROOM_BELOW) & (rates <= reading.diverged * ROOM_ABOVE)]
    return near if len(near) >= 2 * MIN_POINTS * first.monitor.every else rates


def is_enough(curve: RangeCurve) -> bool:
    """Say whether a curve over a part of the ramp shows all that one over the whole ramp would."""
    return _shows_both(read_curve(curve.judged()))


def _shows_both(reading: Reading) -> bool:
    """Say whether both the fall of the loss and its breakdown were seen."""
    return reading.shape is Shape.FALLS and not reading.is_open
