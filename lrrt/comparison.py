"""Compare optimizers in a range test: which gets furthest, at which rate, how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrrt.bounds import Bounds
from lrrt.curve import RangeCurve
from lrrt.monitor import LOSS, Monitor
from lrrt.smoothing import count_finite, smooth
from lrrt.words import rate_text, score_text

CAVEAT = (
    "A range test is a few hundred steps at rates that climb: it shows which optimizer gets furthest in them, and not "
    "which ends lowest in a full training."
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What one case of a range test reached, in the unit and with the sign of what was watched.

    `best` is the lowest loss of the smoothed curves, or the highest value of a metric of which more is better, as the
    median over the repeats, reached at `lr`; `least` and `most` are the repeats' extremes; `decades` is the width of
    the bounds; `monitor` is what was watched. None if a curve has no finite loss, or there are no bounds.
    """

    label: str
    best: float | None
    least: float | None
    most: float | None
    lr: float | None
    decades: float | None
    monitor: Monitor = LOSS

    def overlaps(self, other: "Standing") -> bool:
        """Say whether the repeats of the two reach into each other's range, so that their order may be chance."""
        if self.least is None or self.most is None or other.least is None or other.most is None:
            return False
        return self.least <= other.most and other.least <= self.most


def compare(curves: Mapping[str, Sequence[RangeCurve]], bounds: Mapping[str, Bounds]) -> tuple[Standing, ...]:
    """Order the cases of a range test by the best smoothed value that they reached, best first."""
    standings = [_standing(label, repeats, bounds[label]) for label, repeats in curves.items()]
    return tuple(
        sorted(standings, key=lambda standing: (standing.best is None, standing.monitor.sign * (standing.best or 0.0)))
    )


def title_of(standings: Sequence[Standing]) -> str:
    """Return what the column of best values is called: "lowest loss", "highest val_auc"."""
    monitor = standings[0].monitor if standings else LOSS
    return f"{'highest' if monitor.is_maximised else 'lowest'} {monitor.name}"


def in_words(standings: Sequence[Standing]) -> str:
    """Answer "which optimizer produces lowest loss?" as far as the test can, with its caveat."""
    seen = [standing for standing in standings if standing.best is not None]
    if not seen:
        return "No optimizer had a finite loss."
    first = seen[0]
    best = f"{score_text(first.best)} at lr {rate_text(first.lr)}"
    if len(seen) == 1:
        return f"{first.label} reached a {first.monitor.name} of {best}. {CAVEAT}"
    rivals = [standing.label for standing in seen[1:] if first.overlaps(standing)]
    doubt = f", but its repeats overlap with those of {', '.join(rivals)}, so the order may be chance" if rivals else ""
    return f"{first.label} reached the {title_of(seen)}, {best}{doubt}. {CAVEAT}"


def _standing(label: str, repeats: Sequence[RangeCurve], bounds: Bounds) -> Standing:
    monitor = repeats[0].monitor if repeats else LOSS
    lows = [_lowest(curve.judged()) for curve in repeats]
    seen = [low for low in lows if low is not None]
    if not seen:
        return Standing(label, None, None, None, None, bounds.decades, monitor)
    values, rates = [monitor.sign * loss for loss, _ in seen], [lr for _, lr in seen]
    lr = float(np.exp(np.median(np.log(rates))))
    return Standing(label, float(np.median(values)), min(values), max(values), lr, bounds.decades, monitor)


def _lowest(curve: RangeCurve) -> tuple[float, float] | None:
    num_finite = count_finite(curve.losses)
    if num_finite == 0:
        return None
    smoothed = smooth(curve.lrs[:num_finite], curve.losses[:num_finite])
    return float(smoothed.min()), curve.lrs[int(smoothed.argmin())]
