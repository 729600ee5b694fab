"""Make a Keras schedule from a family and its parameters, and the table of its rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from studies.schedules.families import FAMILIES, all_values, find_family
from studies.schedules.family import WARMUP, Family, Schedule, Values

WARMUP_START = 0.01  # of the peak, at step 0


def make_schedule(family: str, peak_lr: float, num_steps: int, **parameters: float) -> Schedule:
    """Make a Keras `LearningRateSchedule` that can be saved: Keras's class if it has one.

    Args:
        family: a name in `FAMILIES`.
        peak_lr: the highest rate.
        num_steps: updates in the whole training, warm-up included.
        **parameters: the family's parameters; the others have their defaults. A warm-up is rounded to whole steps, at
            least one.

    Raises:
        ValueError: for an unknown family or parameter, a parameter out of its domain, a peak that is not positive, or
            fewer steps than the parameters need.
    """
    known = find_family(family)
    peak, total = _check_peak(peak_lr), _check_count("num_steps", num_steps)
    values = all_values(known, parameters)
    warmup_steps = _warmup_steps(total, values)
    _check_num_steps(known, total, values)
    schedule = known.make(peak, total - warmup_steps, values)
    if not warmup_steps:
        return schedule
    from studies.schedules.cyclical import WarmUp

    return WarmUp(schedule, peak, warmup_steps, WARMUP_START)


def check_all_fit(schedules: Sequence[str], num_steps: int, *, searches_warmup: bool) -> None:
    """Refuse a training that is too short for a schedule that a search may propose, such as one with the most cycles.

    Args:
        schedules: names in `FAMILIES`.
        num_steps: updates in the whole training, warm-up included.
        searches_warmup: whether the length of a warm-up is searched.

    Raises:
        ValueError: for fewer steps than the cycles, drops and warm-up need.
    """
    for name in schedules:
        searched = FAMILIES[name].searched(searches_warmup=searches_warmup)
        _check_num_steps(FAMILIES[name], num_steps, {parameter.name: parameter.high for parameter in searched})


def rate_table(schedule: Schedule, num_steps: int, *, is_of_family: bool = False) -> NDArray[np.float32]:
    """Return the rate of each step 0..num_steps-1, shape `(num_steps,)`, float32.

    The schedule is called once, with a tensor of all steps. It is called step by step if it takes only one step at a
    time, or if its rates for one step and for many differ.

    Args:
        schedule: any schedule of Keras's kind.
        num_steps: updates in the whole training.
        is_of_family: whether it was made by `make_schedule`, whose schedules need no such comparison.

    Raises:
        ValueError: if a rate is negative or not finite.
    """
    count = _check_count("num_steps", num_steps)
    rates = _called_once(schedule, count) if is_of_family else _rates_at_once(schedule, count)
    if rates is None:
        rates = np.array([_rate_at(schedule, step) for step in range(count)], np.float32)
    broken = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
    if len(broken):
        raise ValueError(
            f"A schedule must give finite rates >= 0, got {rates[broken[0]]} at step {broken[0]} from "
            f"{type(schedule).__name__}."
        )
    return rates


def _check_num_steps(family: Family, num_steps: int, values: Values) -> None:
    needed = family.min_steps(values) + _warmup_steps(num_steps, values)
    if num_steps < needed:
        asked = ", ".join(f"{name}={value:g}" for name, value in values.items()) or "no parameter"
        raise ValueError(
            f"{family.name!r} with {asked} needs at least {needed} steps, got num_steps={num_steps}. "
            f"Train longer, or leave {family.name!r} out."
        )


def _warmup_steps(num_steps: int, values: Values) -> int:
    warmup = values.get(WARMUP.name, 0.0)
    return max(1, round(warmup * num_steps)) if warmup else 0


def _rates_at_once(schedule: Schedule, num_steps: int) -> NDArray[np.float32] | None:
    """Return all rates from one call, or None if the schedule cannot take many steps at once."""
    try:
        rates = _called_once(schedule, num_steps)
    except Exception:  # a user's schedule may raise anything at a vector; step by step it raises again
        return None
    if rates.shape != (num_steps,):
        return None
    probes = [0, num_steps - 1]
    alone = [_rate_at(schedule, step) for step in probes]
    return rates if np.allclose(rates[probes], alone, rtol=1e-5, atol=0.0, equal_nan=True) else None


def _called_once(schedule: Schedule, num_steps: int) -> NDArray[np.float32]:
    from keras import ops

    rates: NDArray[np.float32] = ops.convert_to_numpy(schedule(ops.arange(num_steps, dtype="int32")))
    return rates.astype(np.float32)


def _rate_at(schedule: Schedule, step: int) -> float:
    from keras import ops

    return float(ops.convert_to_numpy(schedule(ops.convert_to_tensor(step, dtype="int32"))))


def _check_peak(peak_lr: float) -> float:
    if isinstance(peak_lr, bool) or not isinstance(peak_lr, Real) or not 0 < peak_lr < math.inf:
        raise ValueError(f"`peak_lr` must be positive and finite, got {peak_lr!r}.")
    return float(peak_lr)


def _check_count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"`{name}` must be a whole number >= 1, got {value!r}.")
    return int(value)
