"""Record what short trainings at a few constant rates reached, and how far their losses fell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrrt.smoothing import RESOLUTION, SIGNIFICANT, Floats

# Fitted to full trainings of 42 real cases, as the bounds' factors are; benchmarks/bounds_quality.py scores it.
TRUSTED = 0.1  # if validation shows a smaller part of the progress than training does, training is judged on


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What short trainings at constant rates reached; a loss is None if its rate diverged.

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


def falls_of(seen: Confirmation, trusted: float) -> Floats | None:
    """Return how far each rate's loss fell, at least 0; None if no fall is more than noise."""
    error = min(error for error in seen.train_errors if error is not None)
    if shows_in_validation(seen, trusted):
        falls = _below(seen.start_val_loss, seen.val_losses)
    else:
        falls = _below(seen.start_train_loss, seen.train_losses)
    return falls if falls.max() > max(SIGNIFICANT * error, RESOLUTION * abs(seen.start_val_loss)) else None


def shows_in_validation(seen: Confirmation, trusted: float) -> bool:
    """Say whether the validation loss shows at least such a part of the progress that the training loss shows."""
    by_validation = _below(seen.start_val_loss, seen.val_losses).max()
    return bool(by_validation > trusted * _below(seen.start_train_loss, seen.train_losses).max())


def _below(start: float, losses: Sequence[float | None]) -> Floats:
    falls = [0.0 if loss is None else max(start - loss, 0.0) for loss in losses]
    return np.minimum(falls, float(np.finfo(float).max))  # whose parts are numbers
