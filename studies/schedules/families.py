"""List the schedule families. A new family is one entry here: its parameters, rates, marks, momentum and source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import Any

from lrrt.words import did_you_mean
from studies.schedules.family import DECAY_PARTS, WARMUP, Family, Parameter, Place, Values
from studies.schedules.one_cycle import ONE_CYCLE_STEPS, TAIL_DEPTH, TAIL_FRACTION, one_cycle_momentum

STEPS_PER_CYCLE = 2  # up and down


def _keras() -> Any:
    from keras.optimizers import schedules

    return schedules


def _ours() -> Any:
    from studies.schedules import cyclical

    return cyclical


def _stairs(peak: float, num_steps: int, values: Values) -> tuple[list[int], list[float]]:
    num_stairs = int(values["num_drops"]) + 1
    # In Keras a rate holds up to and including its boundary, so a stair ends one step before the next one begins.
    boundaries = [-(-num_steps * stair // num_stairs) - 1 for stair in range(1, num_stairs)]
    return boundaries, [peak * values["drop_factor"] ** stair for stair in range(num_stairs)]


def _triangles(peak: float, num_steps: int, values: Values, **shrinking: float) -> Any:
    base = values["base_fraction"] * peak
    return _ours().CyclicalRate(base, peak, num_steps, int(values["num_cycles"]), **shrinking)


def _one_cycle(peak: float, num_steps: int, values: Values) -> Any:
    base = values["base_fraction"] * peak
    return _ours().OneCycleRate(base, peak, base * TAIL_DEPTH, num_steps, values["rise_fraction"], TAIL_FRACTION)


def _steps_of_cycles(values: Values) -> int:
    return STEPS_PER_CYCLE * int(values["num_cycles"])


def _ends_of_cycles(values: Values) -> Sequence[Place]:
    """Return the end of each cycle but the last."""
    num_cycles = int(values["num_cycles"])
    return [(cycle / num_cycles, cycle / num_cycles) for cycle in range(1, num_cycles)]


# A schedule changes with the size of a fraction, not with its logarithm, unless the rate itself falls by factors.
_FINAL = Parameter("final_fraction", 0.001, 0.5, 0.01)
_BASE = Parameter("base_fraction", 0.001, 0.5, 0.25, is_base=True)  # Smith 2015, 3.3: base 1/3 or 1/4 of the maximum
_CYCLES = Parameter("num_cycles", 1, 8, 3, integer=True)  # Smith 2015, 3.2: stop after 3 or more cycles

_ENTRIES = (
    Family(
        "fixed",
        "rate = peak. The article's static rate.",
        # Keras has no constant schedule. Unlike a class of ours, this one also loads without lrrt.
        make=lambda peak, num_steps, values: _keras().PolynomialDecay(peak, num_steps, end_learning_rate=peak),
        parameters=(WARMUP,),
    ),
    Family(
        "linear",
        "rate = peak * (1 - (1 - final_fraction) * min(1, t / decay_fraction)): a straight line, then constant, as in "
        "the article's linear decay.",
        make=lambda peak, num_steps, values: _keras().PolynomialDecay(
            peak, values["decay_fraction"] * num_steps, end_learning_rate=peak * values["final_fraction"]
        ),
        parameters=(_FINAL, Parameter("decay_fraction", 0.25, 1.0, 1.0), WARMUP),
        marks=lambda values: [(part, part * values["decay_fraction"]) for part in DECAY_PARTS],
    ),
    Family(
        "step",
        "rate = peak * drop_factor ** floor((num_drops + 1) * t): stairs of equal length. The article's step decay.",
        make=lambda peak, num_steps, values: _keras().PiecewiseConstantDecay(*_stairs(peak, num_steps, values)),
        parameters=(
            Parameter("num_drops", 1, 5, 2, integer=True),
            Parameter("drop_factor", 0.05, 0.7, 0.1, log=True),
            WARMUP,
        ),
        min_steps=lambda values: int(values["num_drops"]) + 1,
    ),
    Family(
        "exponential",
        "rate = peak * final_fraction ** t. The article's exponential decay.",
        make=lambda peak, num_steps, values: _keras().ExponentialDecay(
            peak, num_steps, decay_rate=values["final_fraction"]
        ),
        parameters=(Parameter("final_fraction", 0.001, 0.5, 0.05, log=True), WARMUP),
    ),
    Family(
        "time",
        "rate = peak / (1 + (1 / final_fraction - 1) * t): inverse time. The article's time decay.",
        make=lambda peak, num_steps, values: _keras().InverseTimeDecay(
            peak, num_steps, decay_rate=1 / values["final_fraction"] - 1
        ),
        parameters=(Parameter("final_fraction", 0.01, 0.5, 0.1, log=True), WARMUP),
    ),
    Family(
        "cosine",
        "rate = peak * (final_fraction + (1 - final_fraction) * (1 + cos(pi * t)) / 2). Loshchilov & Hutter 2017, "
        "SGDR, arXiv:1608.03983, equation 5, without a restart.",
        make=lambda peak, num_steps, values: _keras().CosineDecay(peak, num_steps, alpha=values["final_fraction"]),
        parameters=(_FINAL, WARMUP),
    ),
    Family(
        "triangular",
        "rate = base + (peak - base) * height, with base = base_fraction * peak and height = "
        "1 - |2 * frac(num_cycles * t) - 1|. Smith 2015, arXiv:1506.01186, section 3.1.",
        make=_triangles,
        parameters=(_CYCLES, _BASE),
        min_steps=_steps_of_cycles,
        marks=_ends_of_cycles,
        is_cyclical=True,
    ),
    Family(
        "triangular2",
        "rate = base + (peak - base) * height / 2 ** floor(num_cycles * t): triangular, with the amplitude halved "
        "after each cycle. Smith 2015, arXiv:1506.01186, section 3.1.",
        make=lambda peak, num_steps, values: _triangles(peak, num_steps, values, cycle_factor=0.5),
        parameters=(_CYCLES, _BASE),
        min_steps=_steps_of_cycles,
        marks=_ends_of_cycles,
        is_cyclical=True,
    ),
    Family(
        "exp_range",
        "rate = base + (peak - base) * height * final_amplitude ** t: triangular, with an amplitude that falls by a "
        "constant factor each step. Smith 2015, arXiv:1506.01186, section 3.1. In his text the base falls too; "
        "here it stays, as in triangular2. Even the first maximum lies below the peak.",
        make=lambda peak, num_steps, values: _triangles(
            peak, num_steps, values, final_amplitude=values["final_amplitude"]
        ),
        parameters=(_CYCLES, _BASE, Parameter("final_amplitude", 0.01, 0.5, 0.1, log=True)),
        min_steps=_steps_of_cycles,
        marks=_ends_of_cycles,
        is_cyclical=True,
    ),
    Family(
        "one_cycle",
        f"rate rises from base_fraction * peak to peak over rise_fraction of the training, returns until "
        f"{1 - TAIL_FRACTION:g} of it, then falls to {TAIL_DEPTH:g} of the base; straight lines. Smith 2018, "
        "arXiv:1803.09820, section 4.1; one_cycle_momentum gives its momentum.",
        make=_one_cycle,
        parameters=(
            Parameter("rise_fraction", 0.1, 0.6, 0.45),
            Parameter("base_fraction", 0.01, 0.5, 0.1, is_base=True),
        ),
        min_steps=lambda values: ONE_CYCLE_STEPS,
        marks=lambda values: (),  # a cycle can be compared only at its end
        momentum=lambda num_steps, values, *, high, low: one_cycle_momentum(
            num_steps, rise_fraction=values["rise_fraction"], high=high, low=low
        ),
        is_cyclical=True,
    ),
    Family(
        "cosine_restarts",
        "rate = peak * (final_fraction + (1 - final_fraction) * (1 + cos(pi * frac(num_cycles * t))) / 2). Loshchilov "
        "& Hutter 2017, SGDR, arXiv:1608.03983, equation 5, with cycles of equal length.",
        make=lambda peak, num_steps, values: _keras().CosineDecayRestarts(
            peak, num_steps / int(values["num_cycles"]), t_mul=1.0, alpha=values["final_fraction"]
        ),
        parameters=(Parameter("num_cycles", 2, 6, 3, integer=True), _FINAL),
        min_steps=_steps_of_cycles,
        marks=_ends_of_cycles,
        is_cyclical=True,
    ),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ENTRIES})
"""All families, by name. In formulas `t = step / num_steps`, counted from the end of a warm-up if there is one:
training ends at t = 1, as the last cycle and the decay do, and the last step begins just before."""


def find_family(name: str) -> Family:
    """Return the family of this name.

    Raises:
        ValueError: if there is none; the message has the nearest name.
    """
    if name not in FAMILIES:
        raise ValueError(
            f"A schedule family must be one of {', '.join(FAMILIES)}, got {name!r}.{did_you_mean(name, FAMILIES)}"
        )
    return FAMILIES[name]


def check_parameters(family: Family, parameters: Mapping[str, float]) -> dict[str, float]:
    """Return a family's parameters as plain numbers, counts as whole numbers.

    Raises:
        ValueError: for a parameter that the family does not have, or a value out of its domain.
    """
    known = {parameter.name: parameter for parameter in family.parameters}
    for name in parameters:
        if name not in known:
            raise ValueError(
                f"Parameters of {family.name!r} must be of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}"
            )
    return {name: _check_parameter(family, known[name], value) for name, value in parameters.items()}


def all_values(family: Family, parameters: Mapping[str, float]) -> dict[str, float]:
    """Return a value for each parameter of a family: the given one, as `check_parameters` returns it, or the default.

    Raises:
        ValueError: as `check_parameters` does.
    """
    return {**family.defaults(), **check_parameters(family, parameters)}


def _check_parameter(family: Family, parameter: Parameter, value: float) -> float:
    kind = "a whole number" if parameter.integer else "a number"
    if (
        isinstance(value, bool)
        or not isinstance(value, Real)
        or not parameter.low <= value <= parameter.high
        or (parameter.integer and value != int(value))
    ):
        raise ValueError(
            f"`{parameter.name}` of {family.name!r} must be {kind} from {parameter.low} to {parameter.high}, got "
            f"{value!r}. Leave it out for {parameter.default}."
        )
    return int(value) if parameter.integer else float(value)
