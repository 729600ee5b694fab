"""Find the epochs at which trials of one schedule family can be compared fairly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from studies.schedules.families import FAMILIES, all_values
from studies.schedules.family import WARMUP


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of `epoch`, when `progress`, the part of the schedule that is done, allows a comparison."""

    progress: float
    epoch: int


def marks(schedule: str, parameters: Mapping[str, float], epochs: int) -> tuple[Mark, ...]:
    """Return the epochs at which a trial of so many epochs can be compared with others of its family before its end.

    They are the ends of the family's cycles, or half and three quarters of its decay, counted from the end of a
    warm-up.

    Args:
        schedule: a name in `FAMILIES`.
        parameters: the family's parameters, by name; the others have their defaults.
        epochs: epochs of the whole training.

    >>> marks("fixed", {}, 20)
    (Mark(progress=0.5, epoch=10), Mark(progress=0.75, epoch=15))
    >>> [mark.epoch for mark in marks("triangular", {"num_cycles": 3}, 20)]
    [7, 14]
    """
    family = FAMILIES[schedule]
    values = all_values(family, parameters)
    warmup = values.get(WARMUP.name, 0.0)
    places = [(progress, warmup + (1.0 - warmup) * part) for progress, part in family.marks(values)]
    # A place a hair above a whole epoch would otherwise be compared an epoch too late.
    ends = [Mark(progress, math.ceil(round(part * epochs, 6))) for progress, part in places]
    return tuple(mark for mark in ends if mark.epoch < epochs)
