"""Knows the schedule families: each with its own parameters, their domains, its formula and its source."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType

TAIL_FRACTION = 0.1  # of the training; Smith 2018, 4.1: one cycle "smaller than the total number of iterations"
TAIL_DEPTH = 1e-3  # of the base; Smith 2018, 4.1: "several orders of magnitude less than the initial learning rate"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a schedule family: the domain that a search samples from, both ends included.

    Raises:
        ValueError: unless `low <= default <= high`, with `0 < low` where the scale is logarithmic.
    """

    name: str
    low: float
    high: float
    default: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.default <= self.high:
            raise ValueError(f"`low <= default <= high` must hold, got {self!r}.")
        if self.log and self.low <= 0:
            raise ValueError(f"`low` must be positive on a logarithmic scale, got {self!r}.")


@dataclass(frozen=True, slots=True)
class Family:
    """A schedule family: its own parameters and, in `description`, its formula and source.

    All parameters are counts, or fractions of the training or of the peak, so that they mean the same at any number of
    epochs.
    """

    name: str
    parameters: tuple[Parameter, ...]
    description: str

    def defaults(self) -> dict[str, float]:
        """Return the default of each parameter, by name."""
        return {parameter.name: parameter.default for parameter in self.parameters}


# A schedule changes with the size of a fraction, not with its logarithm, except where the rate itself falls by factors.
_FINAL = Parameter("final_fraction", 0.001, 0.5, 0.01)
_BASE = Parameter("base_fraction", 0.001, 0.5, 0.25)  # Smith 2015, 3.3: base 1/3 or 1/4 of the maximum
_CYCLES = Parameter("num_cycles", 1, 8, 3, integer=True)  # Smith 2015, 3.2: stop after 3 or more cycles
WARMUP = Parameter("warmup", 0.0, 0.3, 0.0)  # a fraction of the training; offered by fixed and decaying families

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("fixed", (WARMUP,), "rate = peak. The article's static rate."),
            Family(
                "linear",
                (_FINAL, Parameter("decay_fraction", 0.25, 1.0, 1.0), WARMUP),
                "rate = peak * (1 - (1 - final_fraction) * min(1, t / decay_fraction)): a straight line, then "
                "constant, as in the article's linear decay.",
            ),
            Family(
                "step",
                (
                    Parameter("num_drops", 1, 5, 2, integer=True),
                    Parameter("drop_factor", 0.05, 0.7, 0.1, log=True),
                    WARMUP,
                ),
                "rate = peak * drop_factor ** floor((num_drops + 1) * t): stairs of equal length. The article's step "
                "decay.",
            ),
            Family(
                "exponential",
                (Parameter("final_fraction", 0.001, 0.5, 0.05, log=True), WARMUP),
                "rate = peak * final_fraction ** t. The article's exponential decay.",
            ),
            Family(
                "time",
                (Parameter("final_fraction", 0.01, 0.5, 0.1, log=True), WARMUP),
                "rate = peak / (1 + (1 / final_fraction - 1) * t): inverse time. The article's time decay.",
            ),
            Family(
                "cosine",
                (_FINAL, WARMUP),
                "rate = peak * (final_fraction + (1 - final_fraction) * (1 + cos(pi * t)) / 2). Loshchilov & Hutter "
                "2017, SGDR, arXiv:1608.03983, equation 5, without a restart.",
            ),
            Family(
                "triangular",
                (_CYCLES, _BASE),
                "rate = base + (peak - base) * height, with base = base_fraction * peak and height = "
                "1 - |2 * frac(num_cycles * t) - 1|. Smith 2015, arXiv:1506.01186, section 3.1.",
            ),
            Family(
                "triangular2",
                (_CYCLES, _BASE),
                "rate = base + (peak - base) * height / 2 ** floor(num_cycles * t): triangular, with the amplitude "
                "halved after each cycle. Smith 2015, arXiv:1506.01186, section 3.1.",
            ),
            Family(
                "exp_range",
                (_CYCLES, _BASE, Parameter("final_amplitude", 0.01, 0.5, 0.1, log=True)),
                "rate = base + (peak - base) * height * final_amplitude ** t: triangular, with an amplitude that falls "
                "by a constant factor each step. Smith 2015, arXiv:1506.01186, section 3.1, where his text lets the "
                "base fall as well; here it stays, as in triangular2. Its first peak lies below the peak already.",
            ),
            Family(
                "one_cycle",
                (Parameter("rise_fraction", 0.1, 0.6, 0.45), Parameter("base_fraction", 0.01, 0.5, 0.1)),
                f"rate rises from base_fraction * peak to peak over rise_fraction of the training, returns until "
                f"{1 - TAIL_FRACTION:g} of it, then falls to {TAIL_DEPTH:g} of the base; straight lines. Smith 2018, "
                "arXiv:1803.09820, section 4.1; one_cycle_momentum gives the momentum that belongs to it.",
            ),
            Family(
                "cosine_restarts",
                (Parameter("num_cycles", 2, 6, 3, integer=True), _FINAL),
                "rate = peak * (final_fraction + (1 - final_fraction) * (1 + cos(pi * frac(num_cycles * t))) / 2). "
                "Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983, equation 5, with cycles of equal length.",
            ),
        )
    }
)
"""All families, by name. In formulas `t = step / num_steps`, counted from the end of a warm-up where there is one:
training ends at t = 1, where the last cycle and the decay end too, and the last step begins just before."""


def find_family(name: str) -> Family:
    """Return the family of this name.

    Raises:
        ValueError: where there is none, with the nearest name.
    """
    if name not in FAMILIES:
        raise ValueError(
            f"A schedule family must be one of {', '.join(FAMILIES)}, got {name!r}.{did_you_mean(name, FAMILIES)}"
        )
    return FAMILIES[name]


def is_cyclical(schedule: str) -> bool:
    """Say whether the rates of a family cycle, or rise and fall once as `one_cycle` does; a warm-up does not count."""
    return schedule == "one_cycle" or any(parameter.name == "num_cycles" for parameter in FAMILIES[schedule].parameters)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a hint at the nearest known name, or nothing where none is near.

    >>> did_you_mean("One-Cycle", FAMILIES)
    " Did you mean 'one_cycle'?"
    """
    close = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def check_parameters(family: Family, parameters: Mapping[str, float]) -> dict[str, float]:
    """Return a family's parameters as plain numbers, counts as whole ones.

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
