"""Give each trial its point of a quasi-random sequence, which fills a space more evenly than chance."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping

import numpy as np

from studies.dimension import Dimension, Value


def quasi_random_values(
    dimensions: Iterable[Dimension], number: int, *, seed: int, fixed: Mapping[str, Value]
) -> dict[str, Value]:
    """Return a trial's values at its point of a scrambled Sobol sequence (Sobol 1967, Owen 1998; SciPy's `qmc.Sobol`).

    Args:
        dimensions: the dimensions of the search space, each after the dimensions in its conditions.
        number: the trial's number, which is the place of its point in the sequence.
        seed: the seed of the scrambling.
        fixed: values that do not come from the sequence.
    """
    from scipy.stats import qmc

    every = list(dimensions)
    sequence = qmc.Sobol(len(every), scramble=True, rng=np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # points whose number is no power of 2 are less even, but still usable
        if number:  # SciPy takes no step of 0
            sequence.fast_forward(number)
        point = sequence.random(1)[0]
    values: dict[str, Value] = {}
    for dimension, place in zip(every, point, strict=True):
        if dimension.is_active(values):
            values[dimension.name] = fixed.get(dimension.name, _value_at(dimension, float(place)))
    return values


def _value_at(dimension: Dimension, place: float) -> Value:
    """Return the value at a place from 0 to 1 of a dimension; all values are equally likely."""
    if dimension.choices:
        return dimension.choices[min(int(place * len(dimension.choices)), len(dimension.choices) - 1)]
    low, high, step = dimension.low, dimension.high, dimension.step or (1 if dimension.integer else None)
    if dimension.log:
        number = low * (high / low) ** place
        number = round(number) if dimension.integer else number
    elif step is None:
        number = low + (high - low) * place
    else:
        num_values = math.floor((high - low) / step + 1e-9) + 1
        number = low + step * min(int(place * num_values), num_values - 1)
    number = min(max(number, low), high)
    return int(number) if dimension.integer else float(number)
