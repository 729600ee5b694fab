"""Find the rate and the momentum of each step of a trial; the momentum is the optimizer's, searched, or moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lrrt.loops import Loops
from studies.schedules.families import FAMILIES, all_values
from studies.trial_config import TrialConfig, momentum_name

if TYPE_CHECKING:
    import keras

SWING = 0.5  # of the distance to 1, up and down: from 0.9 it gives Smith's 0.95 and 0.85


def rates_and_momenta(
    config: TrialConfig, loops: Loops, epochs: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the rates and the momenta of each step of so many epochs, shape `(epochs, num_batches)`."""
    shape = epochs, loops.num_batches(config.batch_size)
    num_steps = shape[0] * shape[1]
    momenta = momentum_table(config, loops.patterns[config.optimizer_name], num_steps)
    return config.learning_rates(num_steps).reshape(shape), None if momenta is None else momenta.reshape(shape)


def momentum_of(config: TrialConfig, pattern: keras.Optimizer) -> float:
    """Return the momentum at which a trial stays, or around which it swings; 0 for an optimizer without one.

    Raises:
        ValueError: if it is searched for an optimizer without one.
    """
    if config.momentum is not None:
        momentum_name(pattern)
        return config.momentum
    try:
        return float(getattr(pattern, momentum_name(pattern)))
    except ValueError:
        return 0.0


def moves_momentum(config: TrialConfig, pattern: keras.Optimizer) -> bool:
    """Say whether a trial's momentum differs from its optimizer's: it is searched, or the schedule moves it."""
    is_moved = FAMILIES[config.schedule].momentum is not None
    return config.momentum is not None or (is_moved and momentum_of(config, pattern) > 0)


def momentum_table(config: TrialConfig, pattern: keras.Optimizer, num_steps: int) -> NDArray[np.float32] | None:
    """Return the momentum of each step, shape `(num_steps,)`; None if the optimizer's momentum stays.

    With `one_cycle`, it swings from `1 - (1 - SWING) * (1 - middle)` to `1 - (1 + SWING) * (1 - middle)`, but never
    below 0, and back. It falls while the rate climbs, and climbs while the rate returns (Smith 2018, arXiv:1803.09820,
    section 4.3). This holds for SGD's `momentum` and Adam's `beta_1`. For a middle of 0.9 the ends are Smith's 0.95 and
    0.85. For another middle, the step, which grows with 1 / (1 - momentum), changes by the same factors. Keras's Adam
    corrects the bias of its averages as if each step's `beta_1` had held from the beginning.

    Args:
        config: the trial's values.
        pattern: the trial's optimizer.
        num_steps: updates in the whole training.
    """
    if not moves_momentum(config, pattern):
        return None
    middle = momentum_of(config, pattern)
    family = FAMILIES[config.schedule]
    if family.momentum is None:
        return np.full(num_steps, middle, np.float32)
    values = all_values(family, dict(config.schedule_parameters))
    high, low = 1 - (1 - SWING) * (1 - middle), max(0.0, 1 - (1 + SWING) * (1 - middle))
    return family.momentum(num_steps, values, high=high, low=low)
