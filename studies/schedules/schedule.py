"""Knows how a schedule family becomes a Keras schedule, and the learning rate that it gives to each step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studies.schedules.families import FAMILIES as FAMILIES  # known here to those who make schedules
from studies.schedules.families import TAIL_DEPTH, TAIL_FRACTION, check_parameters, find_family

Schedule = Any  # keras.optimizers.schedules.LearningRateSchedule; Keras is untyped
Values = Mapping[str, float]

WARMUP_START = 0.01  # of the peak, at step 0
HIGH_MOMENTUM = 0.95  # Smith 2018, 4.3
LOW_MOMENTUM = 0.85  # Smith 2018, 4.3
STEPS_PER_CYCLE = 2  # up and down
ONE_CYCLE_STEPS = 3  # up, down and tail


def make_schedule(family: str, peak_lr: float, num_steps: int, **parameters: float) -> Schedule:
    """Make a Keras `LearningRateSchedule` that can be saved: Keras's own class where it has one.

    Args:
        family: a name in `FAMILIES`.
        peak_lr: the highest rate.
        num_steps: updates in the whole training, warm-up included.
        **parameters: the family's own; defaults where they are left out. A warm-up is rounded to whole steps, one at
            least.

    Raises:
        ValueError: for an unknown family or parameter, a parameter out of its domain, a peak that is not positive, or
            fewer steps than the parameters need.
    """
    known = find_family(family)
    peak, total = _check_peak(peak_lr), _check_count("num_steps", num_steps)
    values = {**known.defaults(), **check_parameters(known, parameters)}
    warmup_steps = _warmup_steps(total, values)
    check_num_steps(family, total, values)
    schedule = _build(family, peak, total - warmup_steps, values)
    if not warmup_steps:
        return schedule
    from studies.schedules.cyclical import WarmUp

    return WarmUp(schedule, peak, warmup_steps, WARMUP_START)


def check_num_steps(family: str, num_steps: int, values: Values) -> None:
    """Refuse a training that is too short for a family's parameters.

    Args:
        family: its name.
        num_steps: updates in the whole training, warm-up included.
        values: the family's parameters, all of them.

    Raises:
        ValueError: for fewer steps than the cycles, drops and warm-up need.
    """
    needed, warmup_steps = 1, _warmup_steps(num_steps, values)
    if family == "one_cycle":
        needed = ONE_CYCLE_STEPS
    elif "num_cycles" in values:
        needed = STEPS_PER_CYCLE * int(values["num_cycles"])
    elif "num_drops" in values:
        needed = int(values["num_drops"]) + 1
    if num_steps < needed + warmup_steps:
        asked = ", ".join(f"{name}={value:g}" for name, value in values.items()) or "no parameter"
        raise ValueError(
            f"{family!r} with {asked} needs at least {needed + warmup_steps} steps, got num_steps={num_steps}. "
            "Train longer or ask for less."
        )


def rate_table(schedule: Schedule, num_steps: int) -> NDArray[np.float32]:
    """Return the rate of each step 0..num_steps-1, shape `(num_steps,)`, float32.

    The schedule is called once, with a tensor of all steps. A schedule that takes one step at a time only, or answers
    differently to one step than to many, is called step by step.

    Raises:
        ValueError: if a rate is negative or not finite.
    """
    count = _check_count("num_steps", num_steps)
    rates = _rates_at_once(schedule, count)
    if rates is None:
        rates = np.array([_rate_at(schedule, step) for step in range(count)], np.float32)
    broken = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
    if len(broken):
        raise ValueError(
            f"A schedule must give finite rates >= 0, got {rates[broken[0]]} at step {broken[0]} from "
            f"{type(schedule).__name__}."
        )
    return rates


def one_cycle_momentum(
    num_steps: int, *, rise_fraction: float = 0.45, high: float = HIGH_MOMENTUM, low: float = LOW_MOMENTUM
) -> NDArray[np.float32]:
    """Return the momentum of each step of a one_cycle training, shape `(num_steps,)`: high where the rate is low.

    It falls from `high` to `low` while the rate rises, climbs back while the rate returns, and stays for the tail
    (Smith 2018, arXiv:1803.09820, section 4.3).

    Raises:
        ValueError: unless `0 <= low <= high < 1` and `rise_fraction` is in the domain of the family.

    >>> [round(float(momentum), 3) for momentum in one_cycle_momentum(10, rise_fraction=0.4)]
    [0.95, 0.925, 0.9, 0.875, 0.85, 0.87, 0.89, 0.91, 0.93, 0.95]
    """
    count = _check_count("num_steps", num_steps)
    check_parameters(FAMILIES["one_cycle"], {"rise_fraction": rise_fraction})
    if not 0 <= low <= high < 1:
        raise ValueError(f"`0 <= low <= high < 1` must hold, got low={low!r}, high={high!r}.")
    turns = [0.0, rise_fraction, 1 - TAIL_FRACTION, 1.0]
    return np.interp(np.arange(count) / count, turns, [high, low, high, high]).astype(np.float32)


def _warmup_steps(num_steps: int, values: Values) -> int:
    warmup = values.get("warmup", 0.0)
    return max(1, round(warmup * num_steps)) if warmup else 0


def _build(family: str, peak: float, num_steps: int, values: Values) -> Schedule:
    from keras.optimizers import schedules

    from studies.schedules import cyclical

    final, base = peak * values.get("final_fraction", 1.0), peak * values.get("base_fraction", 1.0)
    num_cycles = int(values.get("num_cycles", 1))
    match family:
        case "fixed":
            # Keras has no constant schedule; this one loads where lrrt is not installed, as one of ours would not.
            return schedules.PolynomialDecay(peak, num_steps, end_learning_rate=peak)
        case "linear":
            return schedules.PolynomialDecay(peak, values["decay_fraction"] * num_steps, end_learning_rate=final)
        case "step":
            return schedules.PiecewiseConstantDecay(*_stairs(peak, num_steps, values))
        case "exponential":
            return schedules.ExponentialDecay(peak, num_steps, decay_rate=values["final_fraction"])
        case "time":
            return schedules.InverseTimeDecay(peak, num_steps, decay_rate=1 / values["final_fraction"] - 1)
        case "cosine":
            return schedules.CosineDecay(peak, num_steps, alpha=values["final_fraction"])
        case "cosine_restarts":
            return schedules.CosineDecayRestarts(
                peak, num_steps / num_cycles, t_mul=1.0, alpha=values["final_fraction"]
            )
        case "one_cycle":
            rise = values["rise_fraction"]
            return cyclical.OneCycleRate(base, peak, base * TAIL_DEPTH, num_steps, rise, TAIL_FRACTION)
        case _:
            factor = 0.5 if family == "triangular2" else 1.0
            final_amplitude = values.get("final_amplitude", 1.0)
            return cyclical.CyclicalRate(base, peak, num_steps, num_cycles, factor, final_amplitude)


def _stairs(peak: float, num_steps: int, values: Values) -> tuple[list[int], list[float]]:
    num_stairs = int(values["num_drops"]) + 1
    # Keras keeps a rate up to and including its boundary, so a stair ends at the step before the next stair's first.
    boundaries = [-(-num_steps * stair // num_stairs) - 1 for stair in range(1, num_stairs)]
    return boundaries, [peak * values["drop_factor"] ** stair for stair in range(num_stairs)]


def _rates_at_once(schedule: Schedule, num_steps: int) -> NDArray[np.float32] | None:
    """Return all rates from one call, or None where the schedule cannot take many steps at once."""
    from keras import ops

    try:
        rates = ops.convert_to_numpy(schedule(ops.arange(num_steps, dtype="int32"))).astype(np.float32)
    except Exception:  # a user's schedule may raise anything at a vector; step by step it raises again
        return None
    if rates.shape != (num_steps,):
        return None
    probes = [0, num_steps - 1]
    alone = [_rate_at(schedule, step) for step in probes]
    return rates if np.allclose(rates[probes], alone, rtol=1e-5, atol=0.0, equal_nan=True) else None


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
