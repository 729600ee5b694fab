"""Hold a range curve: loss against learning rate, as a range test recorded it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import PositiveFloat

from lrrt.monitor import LOSS, Monitor
from lrrt.plain import Losses, Named
from lrrt.smoothing import HALF_WINDOW, count_finite, find_breakdown


class Stop(Named):
    """Why a range test ended; the value is the sentence shown."""

    COMPLETED = "all steps were done"
    DIVERGED = "the smoothed loss rose above its starting level after it had fallen"
    NON_FINITE = "the loss became infinite or not a number"


@dataclass(frozen=True, slots=True)
class RangeCurve:
    """Loss against learning rate in one range test: `losses[i]` is the loss of the batch trained on at `lrs[i]`.

    If something else than the training loss was watched, `monitored[i]` is what it was at `lrs[i]`, and `monitor`
    says what and how often; then bounds are read from it. `untrained[i]` is the loss of the same batch at the weights
    that the ramp began with, if it was measured: their difference is what was learnt, without what the batch's samples
    are like. `stop` is why the test ended, `seed` what its weights and its order of the data came from. `num_steps`
    counts the training steps that it took, if they are more than those kept; what was trained after a breakdown is
    not.

    Raises:
        ValueError: unless `lrs`, `losses` and, if there is any, `monitored` have one length and the rates are
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
        """Cut what a range test recorded when its loss became non-finite or diverged.

        Args:
            lrs: rates tried, shape `(num_steps,)`.
            losses: each step's own loss, shape `(num_steps,)` or shorter if the run stopped early.
            seed: what the initial weights and the order of the data came from.
            monitor: what was watched.
            monitored: its values, of the losses' shape; left out if it is the loss.
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
        They tell nothing if one of them, or their mean, is not finite.
        """
        if self.untrained:
            untrained = np.asarray(self.untrained, float)
            with np.errstate(over="ignore", invalid="ignore"):
                moved = np.asarray(self.losses, float) - (untrained - untrained.mean())
                is_known = math.isfinite(untrained.sum())
            return replace(self, losses=tuple(moved.tolist())) if is_known else replace(self, untrained=())
        if self.monitor == LOSS:
            return self
        sign = self.monitor.sign
        every = slice(None, None, self.monitor.every)
        return RangeCurve(self.lrs[every], tuple(sign * value for value in self.monitored[every]), self.stop, self.seed)
