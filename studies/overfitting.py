"""Judge from the losses of each epoch whether a training was too short, right or too long."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt

from lrrt.plain import Named, or_none
from lrrt.words import digits_text, score_text

Floats = NDArray[np.float64]

MIN_EPOCHS = 5  # with fewer, a noisy epoch and a turn of the curve look alike
# A level curve with noise also ends above its lowest epoch. Of simulated ones with independent normal noise and 5 to
# 200 epochs, 1 to 9 % end above it by more than 5 times their noise, but 4 to 11 % by more than 4 times.
NOISE_FACTOR = 5.0
STILL_FALLING = 0.05  # of the whole fall; if the last fifth of a training brings more, it is unfinished
FALL_FACTOR = 2.0  # a fall by fewer standard errors is noise
LEVEL_EPOCHS = 3  # the median of so many epochs is a level that one spike cannot move
# The mean distance of a normal value with deviation 1 from the median of itself and two more such values.
DISTANCE_FROM_MEDIAN = 0.564


class OverfitVerdict(Named):
    """What the losses of a training show; the value is the sentence shown."""

    UNDERFITTED = "the validation loss was still falling at the end; train longer"
    HEALTHY = "the validation loss levelled off and did not rise beyond its noise"
    OVERFITTED = "the validation loss rose from its best beyond its noise while the training loss did not rise"
    UNSTABLE = "the training loss rose, and the validation loss rose from its best beyond its noise"
    DIVERGED = "a loss became infinite or not a number"
    TOO_FEW_EPOCHS = "too few epochs to judge"


@dataclass(frozen=True, slots=True)
class LossCurves:
    """Training and validation loss after each epoch; index 0 is epoch 1. Losses may be negative or not finite.

    Raises:
        ValueError: unless both hold numbers, as many of one as of the other, and at least one.
    """

    train: tuple[float, ...]
    validation: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, losses in (("train", self.train), ("validation", self.validation)):
            broken = [loss for loss in losses if isinstance(loss, bool) or not isinstance(loss, Real)]
            if broken:
                raise ValueError(f"`{name}` must hold numbers, got {broken[0]!r}.")
        if len(self.train) != len(self.validation):
            raise ValueError(
                "Each epoch must have a training and a validation loss, got "
                f"{len(self.train)} training and {len(self.validation)} validation losses."
            )
        if not self.train:
            raise ValueError("Loss curves must hold one epoch at least, got none.")

    @classmethod
    def from_losses(cls, train_losses: Sequence[float], val_losses: Sequence[float]) -> Self:
        """Take the losses from any sequences of numbers, such as lists or arrays."""
        checked = cls(tuple(train_losses), tuple(val_losses))
        return cls(tuple(map(float, checked.train)), tuple(map(float, checked.validation)))


@dataclass(frozen=True, slots=True)
class OverfitReport:
    """What the losses of a training show. Epochs count from 1; a number is None if the losses give none.

    Attributes:
        verdict: its value is the sentence shown.
        reason: the verdict with its numbers.
        num_epochs: the number of epochs judged.
        best_epoch: the first one with the lowest finite validation loss.
        best_val_loss: validation loss at the best epoch.
        generalisation_gap: validation minus training loss at the best epoch.
        rise: last validation loss minus the best one.
        noise: standard deviation of the validation loss around its smooth course.
    """

    verdict: OverfitVerdict
    reason: str
    num_epochs: NonNegativeInt
    best_epoch: NonNegativeInt | None
    best_val_loss: float | None
    generalisation_gap: float | None
    rise: float | None
    noise: float | None


def check_overfitting(
    train_losses: Sequence[float],
    val_losses: Sequence[float],
    *,
    min_epochs: int = MIN_EPOCHS,
    noise_factor: float = NOISE_FACTOR,
) -> OverfitReport:
    """Judge from the losses of each epoch whether a training underfitted or overfitted.

    - Overfitted: `min(last, median of the last three) - best > noise_factor * noise` for the validation loss, and the
      training loss, by medians of three, is not higher than around the best epoch. If it is, the training was unstable.
    - Underfitted: the last fifth of the epochs has the lowest loss, and its fall is larger than the noise and than 5 %
      of the whole fall.

    The noise is estimated from each epoch's distance to the median of itself and its two neighbours. This distance is 0
    as long as a curve only falls or only rises; of the best epoch, where it turns, the distance to the line through the
    next two counts if that is less. Only the later half counts, or the part from the best epoch on if that begins
    earlier. A loss that wanders slowly counts as a course, not as noise. No verdict depends on the unit or the
    zero of the losses. The rule is lrrt's own; its noise factor comes from simulated curves.

    Args:
        train_losses: training loss after each epoch.
        val_losses: validation loss after each epoch.
        min_epochs: fewer are not judged.
        noise_factor: by how many times its noise the validation loss must rise.

    Raises:
        ValueError: for losses that are empty, of different lengths or not numbers, for `min_epochs` below 5, or for a
            `noise_factor` that is not positive and finite.

    >>> report = check_overfitting([1.0, 0.6, 0.4, 0.3, 0.2, 0.1], [1.1, 0.7, 0.6, 0.8, 1.0, 1.2])
    >>> report.verdict.name, report.best_epoch, round(report.generalisation_gap, 2), round(report.rise, 2)
    ('OVERFITTED', 3, 0.2, 0.6)
    """
    if min_epochs < MIN_EPOCHS:
        raise ValueError(f"`min_epochs` must be at least {MIN_EPOCHS}, got {min_epochs!r}.")
    if not 0 < noise_factor < math.inf:
        raise ValueError(f"`noise_factor` must be positive and finite, got {noise_factor!r}.")
    curves = LossCurves.from_losses(train_losses, val_losses)
    train, val = np.asarray(curves.train), np.asarray(curves.validation)
    finite = np.flatnonzero(np.isfinite(val))
    best = int(finite[val[finite].argmin()]) if len(finite) else None
    verdict, noise = OverfitVerdict.TOO_FEW_EPOCHS, None
    if not (np.isfinite(train).all() and np.isfinite(val).all()):
        verdict = OverfitVerdict.DIVERGED
    elif best is not None and len(val) >= min_epochs:
        with np.errstate(over="ignore", invalid="ignore"):  # losses may span all of float64
            noise = _noise(val, best)
            verdict = _judge(train, val, best, noise, noise_factor)
    return _report(verdict, train, val, best, noise)


def is_still_falling(val_losses: Sequence[float]) -> bool:
    """Say whether a validation loss still falls at its end; see `check_overfitting`.

    It is False for losses that are not finite, or of too few epochs to judge.

    >>> is_still_falling([1.0, 0.8, 0.6, 0.5, 0.4]), is_still_falling([1.0, 0.4, 0.6, 0.5, 0.45])
    (True, False)
    """
    val = np.asarray(val_losses, float)
    if len(val) < MIN_EPOCHS or not np.isfinite(val).all():
        return False
    best = int(val.argmin())
    return _is_still_falling(val, best, _noise(val, best))


def _judge(train: Floats, val: Floats, best: int, noise: float, noise_factor: float) -> OverfitVerdict:
    sustained_rise = min(val[-1], np.median(val[-LEVEL_EPOCHS:])) - val[best]
    if sustained_rise > noise_factor * noise:
        around_best = np.median(train[max(best - 1, 0) : best + 2])
        train_rose = np.median(train[-LEVEL_EPOCHS:]) > around_best
        return OverfitVerdict.UNSTABLE if train_rose else OverfitVerdict.OVERFITTED
    return OverfitVerdict.UNDERFITTED if _is_still_falling(val, best, noise) else OverfitVerdict.HEALTHY


def _is_still_falling(val: Floats, best: int, noise: float) -> bool:
    part = max(2, len(val) // 5)
    late_fall = val[-2 * part : -part].mean() - val[-part:].mean()
    whole_fall = np.median(val[:LEVEL_EPOCHS]) - val[best]
    # A loss also falls after a spike, but not below its earlier lowest value.
    is_lower_than_ever = best >= len(val) - part
    is_beyond_noise = late_fall > FALL_FACTOR * noise * math.sqrt(2 / part)
    return bool(is_lower_than_ever and is_beyond_noise and late_fall > STILL_FALLING * whole_fall)


def _noise(val: Floats, best: int) -> float:
    """Estimate the standard deviation of the validation loss about a course that falls, then rises."""
    medians = np.median(np.stack([val[:-2], val[1:-1], val[2:]]), axis=0)
    distances = np.abs(val[1:-1] - medians)
    if 0 < best < len(val) - 2:  # a curve without noise turns there as well
        from_line = abs(val[best] - 2 * val[best + 1] + val[best + 2])
        distances[best - 1] = min(distances[best - 1], from_line)
    start = min(best, len(val) // 2, len(val) - MIN_EPOCHS + 1)
    return float(distances[max(start - 1, 0) :].mean()) / DISTANCE_FROM_MEDIAN


def _report(
    verdict: OverfitVerdict, train: Floats, val: Floats, best: int | None, noise: float | None
) -> OverfitReport:
    if best is None:
        return OverfitReport(verdict, f"{verdict.value} (in every epoch)", len(val), None, None, None, None, None)
    gap, rise = or_none(float(val[best] - train[best])), or_none(float(val[-1] - val[best]))
    facts = [f"best {score_text(val[best])} in epoch {best + 1} of {len(val)}"]
    facts += [] if rise is None else [f"last {score_text(val[-1])}"]
    facts += [] if noise is None else [f"noise {digits_text(noise, 2)}"]
    reason = f"{verdict.value} ({', '.join(facts)})"
    return OverfitReport(verdict, reason, len(val), best + 1, float(val[best]), gap, rise, noise)
