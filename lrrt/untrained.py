"""Measure what the batches of a ramp cost before anything is learnt, to take it out of the noise of its losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lrrt.curve import RangeCurve
from lrrt.smoothing import MIN_PLATEAU, Floats, plateau_size

if TYPE_CHECKING:
    from lrrt.fit_loop import FitLoop
    from lrrt.training_loop import TrainingLoop

STILL = 1e-12  # a rate at which nothing moves; some optimizers divide by it or by its square, so that it is not 0


class UntrainedLosses:
    """The losses of each repeat's batches at its initial weights: measured once for all optimizers.

    Much of what a batch's loss scatters by is what its samples are like. The same samples at the weights that the ramp
    began with show that part alone: the difference is what was learnt, plus a noise that grows with it (common random
    numbers, Glasserman and Yao 1992). If targets are minutes or dollars it is many times smaller.
    """

    def __init__(self) -> None:
        self._losses: dict[tuple[int, ...], Floats] = {}

    def taken_out(
        self, curve: RangeCurve, loop: TrainingLoop | FitLoop, measure: Callable[[float], Floats], num_steps: int
    ) -> RangeCurve:
        """Return the curve with the untrained losses of its batches, if they make it less noisy.

        Args:
            curve: of a ramp whose seed says which repeat it is.
            loop: what trained it; batches that are gone once they are taken cannot be measured again.
            measure: trains the ramp's steps at this rate, from its weights on its batches, and returns their losses.
            num_steps: of the whole ramp.
        """
        if getattr(loop.batches, "is_read_once", False) or curve.seed is None or curve.monitored:
            return curve
        if len(curve.lrs) < MIN_PLATEAU:
            return curve
        key = (loop.batches.batch_size, loop.batches_per_update, curve.seed, num_steps)
        if key not in self._losses:
            self._losses[key] = measure(STILL)
            curve = replace(curve, num_steps=curve.num_steps + len(self._losses[key]))
        losses = self._losses[key][: len(curve.lrs)]
        if len(losses) < len(curve.lrs) or not _is_quieter(np.asarray(curve.losses) - losses, curve):
            return curve
        return replace(curve, untrained=tuple(losses.tolist()))


def _is_quieter(differences: Floats, curve: RangeCurve) -> bool:
    """Say whether differences scatter less than losses while nothing is learnt yet; of other batches they do not."""
    first = slice(plateau_size(curve.lrs))
    return bool(np.median(np.abs(np.diff(differences[first]))) < np.median(np.abs(np.diff(curve.losses[first]))) / 2)
