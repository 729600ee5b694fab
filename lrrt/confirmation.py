"""Try a few constant rates in short trainings, to sharpen bounds: which rates, and what each reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lrrt.batches import Batches
from lrrt.bounds import Bounds
from lrrt.factors import lags
from lrrt.loops import Loops
from lrrt.sharpening import sharpen
from lrrt.short_trainings import TRUSTED, Confirmation, falls_of, shows_in_validation
from lrrt.smoothing import Floats
from lrrt.training_loop import TrainingLoop
from lrrt.variables import Values

if TYPE_CHECKING:
    from lrrt.fit_loop import FitLoop

# Fitted to full trainings of 42 real cases, as the bounds' factors are; benchmarks/bounds_quality.py scores them.
NUM_RATES = 5  # trainings that the steps are enough for; with more each gets too few, with fewer an optimum is missed
MOST_RATES = 10  # also if trainings diverge at once and hardly cost a step
SPACING = 0.45  # decades between rates at the most, unless the bounds are too wide for it: 4 rates in usual bounds
NUM_LOOKS = 5  # validations a rate; the lowest counts, as it does in a full training
SETTLED = 1 / 3  # the last part of the steps, whose mean is the training loss that was reached


def check_confirmation(loops: Loops, num_steps: int) -> None:
    """Refuse before the ramps what `confirm` would refuse after them.

    Raises:
        ValueError: if there are steps, but no validation data, or such without an end.
    """
    if num_steps == 0:
        return
    if loops.validation is None:
        raise ValueError("`confirm_steps` must come with `validation_data`, got none.")
    _ = loops.validation.num_batches  # raises if it has no end


def confirm(
    loops: Loops, label: str, bounds: Bounds, *, num_steps: int, seed: int = 0, batch_size: int | None = None
) -> tuple[Bounds, Confirmation | None]:
    """Sharpen the bounds of one optimizer by training a little at a few constant rates.

    The first ones are spread over the bounds. If the outermost does best, the next one lies as far beyond it as its
    neighbour lies before it, while that pays and as long as there are steps. Above the bounds it goes only by the
    validation loss: if that lags behind the weights, the training loss favours rates that are too high.

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


def outwards(seen: Confirmation) -> float | None:
    """Return the next rate beyond the outermost one, or None if that did not do best; below if all diverged."""
    if len(seen.lrs) < 2:
        return None
    have_diverged = all(loss is None for loss in seen.train_losses)
    falls = None if have_diverged else falls_of(seen, TRUSTED)
    if falls is None and not have_diverged:
        return None
    best = 0 if falls is None else int(falls.argmax())
    if best == 0:
        return _beside(seen.lrs[0], seen.lrs[1])
    if best == len(seen.lrs) - 1 and shows_in_validation(seen, TRUSTED):
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
    """Return the validation losses at the looks and each step's loss; both end early when a loss is not finite."""
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
