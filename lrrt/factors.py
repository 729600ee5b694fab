"""Store the factors that lead from a range curve to bounds, all in one place, each with its source.

Fitted were the centres of the good rates of full trainings against the edges of their range curves (see `Reading`):
36 cases of six small tasks with some 340 to 520 updates, 26 of text, series, tables and images with 145 to 6,000, 14 of
five long ones from DeepOBS (Schneider 2019, arXiv:1903.05499) with 700 to 209,000. `benchmarks/bounds_quality.py`
fits and scores them anew, also with each task left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

# The suggestion is edge / factor: the good rates' centre, rounded; it varies by .3 to .4 decades between tasks.
BELOW_EDGE = {
    "sgd": 4.5,
    "momentum": 14.0,  # momentum .9
    "heavy momentum": 50.0,  # DeepOBS alone, momentum .99: the echo of a step outlasts a ramp of 100 steps
    "adam": 12.0,
    "rmsprop": 4.5,
    "adagrad": 2.5,  # its steps shrink by themselves, so that it bears more; 15 tasks
    "lion": 24.0,  # it moves each weight by the whole rate (Chen 2023, arXiv:2302.06675)
}
UNKNOWN_BELOW_EDGE = 8.0  # the mean of those above in log rate, without heavy momentum
RELATIVES = {"adamw": "adam", "nadam": "adam", "adamax": "adam", "ftrl": "adagrad"}  # the same steps but for details
HEAVY_MOMENTUM = 0.95

WIDTH = 4.5  # low = suggested / 4.5, high = 4.5 suggested: the narrowest that cover .97 of the 76, one task left out

HIDDEN_ABOVE_EDGE = 15.0  # what learns too slowly to be seen does best far above the first rise; 3 of more_tasks
ROOM = 20.0  # an edge that is read from a rise alone must lie so far above the first rate, or nothing is known below it

# Rates are multiplied by (length / USUAL_LENGTH) ** -LENGTH_EXPONENT; a length counts in the ramp's steps a decade.
LENGTH_EXPONENT = 0.3  # .2 to .4 score alike; T^-.3 is published for language models (arXiv:2409.19913)
USUAL_LENGTH = 40.0  # 500 updates for the default ramp, about as many as the 42 cases have
SHORTEST_LENGTH = 8.0  # 100 updates for the default ramp; what is shorter was not measured, and counts as this

# BatchNorm's moving averages must follow the weights, or a rate that trains well validates badly; high rates follow.
LAGGING = 5.0  # times 1 / (1 - momentum) updates, below which they lag: 500 for Keras's default
LAGGING_LIFT = 2.5  # of rates then; from one network, digits_cnn_bn with 220 updates, so that a verdict says uncertain
LAGGING_ROOM = 2.0  # of the upper bound then, above WIDTH: 1.5 to 4 did best, and a U-Net of others did best higher up


def kind_of(optimizer: keras.Optimizer) -> str:
    """Return what an optimizer's factor is listed under: the name of its class, or a name for SGD with momentum."""
    name = type(optimizer).__name__.lower()
    momentum = getattr(optimizer, "momentum", 0.0) if name == "sgd" else 0.0
    return "heavy momentum" if momentum > HEAVY_MOMENTUM else "momentum" if momentum > 0 else name


def below_edge(kind: str | None) -> float:
    """Return the factor by which an optimizer's good rates lie below the edge of its curve.

    >>> below_edge("adamw"), below_edge("unheard of")
    (12.0, 8.0)
    """
    return BELOW_EDGE.get(RELATIVES.get(kind or "", kind or ""), UNKNOWN_BELOW_EDGE)


def averaging_steps_of(model: keras.Model) -> float | None:
    """Return 1 / (1 - momentum) of a network's slowest BatchNorm: updates that its moving averages run over.

    None without one that is trained.
    """
    import keras

    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momentum = max((layer.momentum for layer in norms if layer.trainable), default=1.0)
    return 1 / (1 - momentum) if momentum < 1 else None


def lags(training_steps: int | None, averaging_steps: float | None) -> bool:
    """Say whether a training has too few updates for the network's moving averages to follow its weights.

    >>> lags(220, 100.0), lags(1_000, 100.0), lags(None, 100.0)
    (True, False, False)
    """
    return (
        training_steps is not None and averaging_steps is not None and bool(training_steps < LAGGING * averaging_steps)
    )


def length_factor(training_steps: int | None, steps_a_decade: float) -> float:
    """Return what rates are multiplied by for a training of so many updates; 1 if it is not known.

    >>> round(length_factor(50_000, 12.5), 2)
    0.25
    """
    if training_steps is None:
        return 1.0
    length = max(training_steps / max(steps_a_decade, 1.0), SHORTEST_LENGTH)
    return math.pow(length / USUAL_LENGTH, -LENGTH_EXPONENT)
