"""Sharpen bounds by short trainings at a few constant rates: which are tried, and how they are judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lrrt.batches import Batches
from lrrt.bounds import Bounds
from lrrt.curve import RESOLUTION, SIGNIFICANT, Floats
from lrrt.factors import LENGTH_EXPONENT, lags
from lrrt.loops import Loops
from lrrt.training_loop import TrainingLoop
from lrrt.variables import Values

if TYPE_CHECKING:
    from lrrt.fit_loop import FitLoop

# Fitted to full trainings of 42 real cases, as the bounds' factors are; benchmarks/bounds_quality.py scores them.
NUM_RATES = 5  # trainings that the steps are enough for; with more each gets too few, with fewer an optimum is missed
MOST_RATES = 10  # also where trainings diverge at once and hardly cost a step
SPACING = 0.45  # decades between rates at the most, unless the bounds are too wide for it: 4 rates in usual bounds
NUM_LOOKS = 5  # validations a rate; the lowest counts, as it does in a full training
SETTLED = 1 / 3  # the last part of the steps, whose mean is the training loss that was reached
TRUSTED = 0.1  # where validation shows a smaller part of the progress than training does, training is judged on
TOLERANCE = 0.05  # of the most progress: rates that are this much behind weigh 1/e in the mean
LION_LONGER = 2.5  # Lion's step is its rate: a longer training gets as far at a lower one; 2 to 4 score alike
NEARLY = 1.001  # rates that differ by less are the same
REACH = 3.0  # the sharpened bounds reach this factor below and above what is suggested: just under a decade in all


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What short trainings at constant rates reached; a loss is None where its rate diverged.

    `val_losses` are the lowest validation losses, `train_losses` the mean losses of the last third of the steps, and
    `train_errors` the standard errors of those means. `start_val_loss` was before the first step; `start_train_loss` is
    the first batch's. `num_steps` counts the training steps of all rates together, `steps_each` those at one
    that did not diverge; 0 if not known. All losses are in the loss's unit.

    Raises:
        ValueError: unless each rate has its losses, and the rates are positive and ascending.
    """

    lrs: tuple[float, ...]
    val_losses: tuple[float | None, ...]
    train_losses: tuple[float | None, ...]
    train_errors: tuple[float | None, ...]
    start_val_loss: float
    start_train_loss: float
    num_steps: int
    steps_each: int = 0

    def __post_init__(self) -> None:
        lengths = [len(self.lrs), len(self.val_losses), len(self.train_losses), len(self.train_errors)]
        if len(set(lengths)) != 1 or not self.lrs:
            raise ValueError(f"Each of at least one rate must have its losses, got {lengths} of them.")
        if self.lrs[0] <= 0 or any(a >= b for a, b in zip(self.lrs, self.lrs[1:], strict=False)):
            raise ValueError(f"`lrs` must be positive and ascending, got {self.lrs!r}.")


def confirm(
    loops: Loops, label: str, bounds: Bounds, *, num_steps: int, seed: int = 0, batch_size: int | None = None
) -> tuple[Bounds, Confirmation | None]:
    """Sharpen the bounds of one optimizer by training a little at a few constant rates.

    The first ones are spread over the bounds. If the outermost does best, the next one lies as far beyond it as its
    neighbour lies before it, while that pays and as long as there are steps. Above the bounds it goes only by the
    validation loss: where that lags behind the weights, the training loss favours rates that are too high.

    Args:
        loops: the task, with validation data.
        label: which of the loops' optimizers.
        bounds: its bounds from a range test.
        num_steps: training steps at each rate, all from the same starting weights on the same order of the data; no
            more than 5 times as many are done in all.
        seed: what the weights and the order are drawn from.
        batch_size: samples a batch; None for the loops' own.

    Returns:
        The sharpened bounds (see `sharpen`) and what was seen. Bounds without rates come back as they are, with None,
        and so do those of a training in which moving averages lag: in a shorter one they lag more.

    Raises:
        ValueError: for loops without validation data, or a number of steps that is no count.
    """
    if isinstance(num_steps, bool) or not isinstance(num_steps, int) or num_steps < 1:
        raise ValueError(f"The steps at each rate must be a whole number >= 1, got {num_steps!r}.")
    if loops.validation is None:
        raise ValueError("Bounds are confirmed on validation data, got none. Pass `validation_data`, or no steps.")
    if bounds.low is None or bounds.high is None:
        return bounds, None
    if lags(bounds.training_steps, bounds.averaging_steps):
        return replace(bounds, reason=f"{bounds.reason}; short trainings would tell nothing, so they are not run"), None
    num_rates = min(max(math.ceil(math.log10(bounds.high / bounds.low) / SPACING), 1) + 1, NUM_RATES)
    lrs = np.geomspace(bounds.low, bounds.high, num_rates)
    seen = try_rates(loops.get(label, batch_size), loops.initial_weights(seed), lrs.tolist(), num_steps, seed)
    return sharpen(bounds, seen, optimizer=type(loops.patterns[label]).__name__.lower()), seen


def try_rates(
    loop: TrainingLoop | FitLoop, weights: Values, lrs: Sequence[float], num_steps: int, seed: int = 0
) -> Confirmation:
    """Train so many steps at each constant rate, each time from the same weights and on the same order of the data.

    Then it goes on outwards, see `confirm`. What a generator yields next is trained on again at each rate; a dataset
    that shuffles itself does so anew.

    Raises:
        ValueError: if a generator ends before, or yields more than can be stored.
    """
    batches = loop.batches.repeatable(num_steps)
    loop.restart(weights)
    start_val_loss = loop.validate()
    runs = {lr: _train(loop, batches, weights, lr, num_steps, seed) for lr in lrs}
    seen = _seen(runs, start_val_loss, num_steps)
    most_steps = (NUM_RATES - 1) * num_steps
    while seen.num_steps <= most_steps and len(runs) < MOST_RATES and (lr := outwards(seen)) is not None:
        runs[lr] = _train(loop, batches, weights, lr, num_steps, seed)
        seen = _seen(runs, start_val_loss, num_steps)
    return seen


def sharpen(
    bounds: Bounds,
    seen: Confirmation,
    *,
    optimizer: str | None = None,
    tolerance: float = TOLERANCE,
    reach: float = REACH,
    trusted: float = TRUSTED,
) -> Bounds:
    """Move the bounds to about a decade around the rates that got furthest.

    A rate's progress is its fall below the starting loss, 0 where it rose or diverged, in parts of the furthest one.
    The suggested rate is the mean, in log rate, of those tried, each weighted by `exp(-(1 - progress) / tolerance)`:
    equally good neighbours share it, and noise moves it little. A longer training does best at lower rates, so that
    it is divided by (training steps / steps at each rate) ** .3 if the former are known, and by 2.5 for "lion", whose
    steps are as long as its rate and lead less far in a short training. The bounds are `[suggested / reach, reach *
    suggested]`, moved into what they were and what was tried beyond, and kept from rates that diverged.

    Judged is the validation loss. A moving average of BatchNorm lags behind weights that have moved for a few steps
    only: where the short trainings have too few for it to follow, or where no rate's validation loss has fallen by a
    tenth of what its training loss has, the training loss is judged on instead.

    Returns:
        Bounds whose reason says what the trainings showed. Where no loss fell by 4 standard errors of a training loss,
        the rates are what they were.
    """
    assert bounds.low is not None
    assert bounds.high is not None
    of = f"{len(seen.lrs)} short trainings"
    if all(loss is None for loss in seen.train_losses):
        return replace(bounds, reason=f"{bounds.reason}; all of {of} diverged, so the bounds are not confirmed")
    falls = _falls(seen, math.inf if lags(seen.steps_each or None, bounds.averaging_steps) else trusted)
    if falls is None:
        return replace(
            bounds, reason=f"{bounds.reason}; in none of {of} did a loss fall, so the bounds are not confirmed"
        )
    weights = np.exp((falls / falls.max() - 1) / tolerance)
    suggested = math.exp(float(np.average(np.log(seen.lrs), weights=weights)))
    suggested /= _for_longer(bounds, seen, optimizer)
    lowest, highest = min(bounds.low, seen.lrs[0]), max(bounds.high, seen.lrs[-1])
    suggested = min(max(suggested, lowest), highest)
    low, high = _around(suggested, reach, *_without_diverged(lowest, highest, suggested, seen))
    reason = f"{bounds.reason}; sharpened by {of}{_outside(bounds, seen)}{_beyond(int(falls.argmax()), len(falls))}"
    return replace(bounds, low=low, high=high, suggested=suggested, reason=reason)


def outwards(seen: Confirmation) -> float | None:
    """Return the next rate beyond the outermost one, or None if that did not do best; below if all diverged."""
    if len(seen.lrs) < 2:
        return None
    have_diverged = all(loss is None for loss in seen.train_losses)
    falls = None if have_diverged else _falls(seen, TRUSTED)
    if falls is None and not have_diverged:
        return None
    best = 0 if falls is None else int(falls.argmax())
    if best == 0:
        return _beside(seen.lrs[0], seen.lrs[1])
    if best == len(seen.lrs) - 1 and _shows_in_validation(seen, TRUSTED):
        return _beside(seen.lrs[-1], seen.lrs[-2])
    return None


def _beside(outermost: float, neighbour: float) -> float | None:
    """Return the rate as far beyond the outermost as its neighbour lies before it; None beyond what a float holds."""
    lr = outermost * (outermost / neighbour)
    return lr if 0 < lr < math.inf and lr != outermost else None


def _seen(runs: Mapping[float, tuple[list[float], Floats]], start_val_loss: float, steps_each: int) -> Confirmation:
    """Return what trainings reached, by ascending rate."""
    reached = {lr: _reached(*runs[lr]) for lr in sorted(runs)}
    return Confirmation(
        lrs=tuple(reached),
        val_losses=tuple(None if row is None else row[0] for row in reached.values()),
        train_losses=tuple(None if row is None else row[1] for row in reached.values()),
        train_errors=tuple(None if row is None else row[2] for row in reached.values()),
        start_val_loss=start_val_loss,
        start_train_loss=float(next(iter(runs.values()))[1][0]),
        num_steps=sum(len(losses) for _, losses in runs.values()),
        steps_each=steps_each,
    )


def _train(
    loop: TrainingLoop | FitLoop, batches: Batches, weights: Values, lr: float, num_steps: int, seed: int
) -> tuple[list[float], Floats]:
    """Return the validation losses at the looks and each step's loss; both end early where a loss is not finite."""
    num_looks = min(NUM_LOOKS, num_steps)
    sizes = np.diff(np.arange(num_looks + 1) * num_steps // num_looks).tolist()
    loop.restart(weights)
    val_losses: list[float] = []
    losses = np.empty(0)
    for size, plan in zip(sizes, batches.plans(sizes, np.random.default_rng(seed)), strict=True):
        steps = loop.train(np.full(size, lr), plan=plan)
        losses = np.append(losses, steps.losses)
        val_losses.append(loop.validate() if steps.is_finite else math.nan)
        if not math.isfinite(val_losses[-1]):
            break
    return val_losses, losses


def _reached(val_losses: Sequence[float], losses: Floats) -> tuple[float, float, float] | None:
    """Return the lowest validation loss, the training loss at the end and its standard error; None if it diverged."""
    if not math.isfinite(val_losses[-1]):
        return None
    last = losses[-max(round(SETTLED * len(losses)), 1) :]
    # As for a range curve: 1.4826 times the median absolute value is the standard deviation of normal noise.
    noise = 1.4826 * float(np.median(np.abs(np.diff(losses)))) / math.sqrt(2) if len(losses) > 1 else math.inf
    return min(val_losses), float(last.mean()), noise / math.sqrt(len(last))


def _falls(seen: Confirmation, trusted: float) -> Floats | None:
    """Return how far each rate's loss fell, at least 0; None where no fall is more than noise."""
    error = min(error for error in seen.train_errors if error is not None)
    if _shows_in_validation(seen, trusted):
        falls = _below(seen.start_val_loss, seen.val_losses)
    else:
        falls = _below(seen.start_train_loss, seen.train_losses)
    return falls if falls.max() > max(SIGNIFICANT * error, RESOLUTION * abs(seen.start_val_loss)) else None


def _shows_in_validation(seen: Confirmation, trusted: float) -> bool:
    """Say whether the validation loss shows at least such a part of the progress that the training loss shows."""
    by_validation = _below(seen.start_val_loss, seen.val_losses).max()
    return bool(by_validation > trusted * _below(seen.start_train_loss, seen.train_losses).max())


def _for_longer(bounds: Bounds, seen: Confirmation, optimizer: str | None) -> float:
    """Return how far the best rate of the training to come lies below that of short ones."""
    if optimizer == "lion":
        return LION_LONGER
    steps = bounds.training_steps
    if steps is None or seen.steps_each == 0:
        return 1.0
    return math.pow(max(steps / seen.steps_each, 1.0), LENGTH_EXPONENT)


def _outside(bounds: Bounds, seen: Confirmation) -> str:
    """Say how many rates were tried beyond the bounds."""
    assert bounds.low is not None
    assert bounds.high is not None
    below = sum(lr < bounds.low / NEARLY for lr in seen.lrs)
    above = sum(lr > bounds.high * NEARLY for lr in seen.lrs)
    told = [f"{number} {side} the bounds" for number, side in ((below, "below"), (above, "above")) if number]
    return f", {' and '.join(told)}" if told else ""


def _beyond(best: int, num_rates: int) -> str:
    """Say where the best rate of all may lie outside those that were tried."""
    if num_rates > 1 and best in (0, num_rates - 1):
        end, side = ("lowest", "below") if best == 0 else ("highest", "above")
        return f", of which the {end} rate did best, so that the best of all may lie {side}"
    return ""


def _below(start: float, losses: Sequence[float | None]) -> Floats:
    falls = [0.0 if loss is None else max(start - loss, 0.0) for loss in losses]
    return np.minimum(falls, float(np.finfo(float).max))  # whose parts are numbers


def _without_diverged(low: float, high: float, suggested: float, seen: Confirmation) -> tuple[float, float]:
    """Return the bounds with each rate that diverged outside, half way to its neighbour on the side of `suggested`."""
    for i, (lr, loss) in enumerate(zip(seen.lrs, seen.train_losses, strict=True)):
        if loss is None and lr > suggested:
            high = min(high, max(suggested, math.sqrt(lr) * math.sqrt(seen.lrs[max(i - 1, 0)])))
        elif loss is None:
            low = max(low, min(suggested, math.sqrt(lr) * math.sqrt(seen.lrs[min(i + 1, len(seen.lrs) - 1)])))
    return low, high


def _around(lr: float, reach: float, low: float, high: float) -> tuple[float, float]:
    """Return `[lr / reach, reach * lr]`, moved into `[low, high]`, or the latter where it is narrower."""
    if high <= reach**2 * low:
        return low, high
    start = min(max(lr / reach, low), high / reach**2)
    return start, min(start * reach**2, high)
