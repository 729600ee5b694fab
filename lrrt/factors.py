"""Store the factors that lead from a range curve to bounds, all in one place, each with its source.

Fitted were the centres of the good rates of full trainings against the edges of their range curves (see `Reading`):
42 cases of seven small tasks with some 220 to 520 updates, and 14 cases of five long ones from DeepOBS (Schneider 2019,
arXiv:1903.05499) with 700 to 209,000. `benchmarks/bounds_quality.py` scores them, also with each task left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

# The suggestion is edge / factor: the good rates' centre, rounded; it varies by .3 to .4 decades between tasks.
BELOW_EDGE = {
    "sgd": 4.0,  # 42 cases and DeepOBS together: 10^.59
    "momentum": 11.0,  # the 42 cases, momentum .9: 10^1.05
    "heavy momentum": 50.0,  # DeepOBS, momentum .99: 10^1.67; a step's echo outlasts a ramp of 100 steps
    "adam": 10.0,  # 42 cases and DeepOBS together: 10^1.00
    "rmsprop": 4.0,  # the 42 cases: 10^.56
    "adagrad": 4.0,  # the 42 cases: 10^.63
    "lion": 20.0,  # the 42 cases: 10^1.28; it moves each weight by the whole rate (Chen 2023, arXiv:2302.06675)
}
UNKNOWN_BELOW_EDGE = 7.0  # the mean of those above in log rate, without heavy momentum
RELATIVES = {"adamw": "adam", "nadam": "adam", "adamax": "adam"}  # they take the same steps but for details
HEAVY_MOMENTUM = 0.95

WIDTH = 4.5  # low = suggested / 4.5, high = 4.5 suggested: the narrowest at which .98 of the 42 cases are covered

HIDDEN_ABOVE_EDGE = 15.0  # what learns too slowly to be seen does best far above the first rise; 3 of more_tasks
ROOM = 20.0  # an edge that is read from a rise alone must lie so far above the first rate, or nothing is known below it

# Rates are multiplied by (length / USUAL_LENGTH) ** -LENGTH_EXPONENT; a length counts in the ramp's steps a decade.
LENGTH_EXPONENT = 0.3  # .2 to .4 score alike; T^-.3 is published for language models (arXiv:2409.19913)
USUAL_LENGTH = 40.0  # 500 updates for the default ramp, about as many as the 42 cases have
SHORTEST_LENGTH = 8.0  # 100 updates for the default ramp; what is shorter was not measured, and counts as this


def kind_of(optimizer: keras.Optimizer) -> str:
    """Return what an optimizer's factor is listed under: the name of its class, or a name for SGD with momentum."""
    name = type(optimizer).__name__.lower()
    momentum = getattr(optimizer, "momentum", 0.0) if name == "sgd" else 0.0
    return "heavy momentum" if momentum > HEAVY_MOMENTUM else "momentum" if momentum > 0 else name


def below_edge(kind: str | None) -> float:
    """Return the factor by which an optimizer's good rates lie below the edge of its curve.

    >>> below_edge("adamw"), below_edge("unheard of")
    (10.0, 7.0)
    """
    return BELOW_EDGE.get(RELATIVES.get(kind or "", kind or ""), UNKNOWN_BELOW_EDGE)


def length_factor(training_steps: int | None, steps_a_decade: float) -> float:
    """Return what rates are multiplied by for a training of so many updates; 1 where it is not known.

    >>> round(length_factor(50_000, 12.5), 2)
    0.25
    """
    if training_steps is None:
        return 1.0
    length = max(training_steps / max(steps_a_decade, 1.0), SHORTEST_LENGTH)
    return math.pow(length / USUAL_LENGTH, -LENGTH_EXPONENT)
