"""Knows where in its schedule a trial is, and so at which epochs trials of one family can be compared fairly."""

from __future__ import annotations

import math
from dataclasses import dataclass

from studies.schedules.families import FAMILIES, is_cyclical
from studies.trial import TrialConfig

# Of a decay. Validation losses at an eighth of the training ranked its final best three 13th to 16th of 18; from half
# of it on the ranks agree with those at the end (correlation .95).
DECAY_PARTS = (0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of `epoch`, where `progress`, the part of the schedule that is done, allows a comparison."""

    progress: float
    epoch: int


def marks(config: TrialConfig, epochs: int) -> tuple[Mark, ...]:
    """Return where a trial of so many epochs can be compared with others of its family before its end.

    These are the ends of its cycles, or half and three quarters of its decay, counted from the end of a warm-up; a
    fixed rate is treated as a decay. One cycle can be compared at its end only.

    >>> marks(TrialConfig("sgd", "fixed", 0.1, 32), 20)
    (Mark(progress=0.5, epoch=10), Mark(progress=0.75, epoch=15))
    >>> [mark.epoch for mark in marks(TrialConfig("sgd", "triangular", 0.1, 32, (("num_cycles", 3.0),)), 20)]
    [7, 14]
    """
    values = {**FAMILIES[config.schedule].defaults(), **dict(config.schedule_parameters)}
    if config.schedule == "one_cycle":
        return ()
    if is_cyclical(config.schedule):
        num_cycles = int(values["num_cycles"])
        found = [(cycle / num_cycles, cycle / num_cycles) for cycle in range(1, num_cycles)]
    else:
        warmup = values.get("warmup", 0.0)
        length = (1.0 - warmup) * values.get("decay_fraction", 1.0)
        found = [(part, warmup + part * length) for part in DECAY_PARTS]
    # Rounding a hair above a whole epoch up would compare an epoch too late.
    ends = [Mark(progress, math.ceil(round(fraction * epochs, 6))) for progress, fraction in found]
    return tuple(mark for mark in ends if mark.epoch < epochs)
