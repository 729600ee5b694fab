"""Draw the weights that runs begin with: those of a model built under the run's seed, a few of which are stored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from lrrt.variables import Values

KEPT = 4  # seeds whose weights are stored for their next run
ALIKE = (
    "the model's weights are the same for every seed, as when its builder calls set_random_seed: trainings with "
    "other seeds differ by the order of the data alone"
)


class InitialWeights:
    """The initial weights of a task's runs, by seed."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[int, Values] = OrderedDict()
        self.are_alike = False
        """Whether two seeds have given the same weights."""

    def of(self, seed: int, draw: Callable[[int], Values]) -> Values:
        """Return the weights of a seed; `draw` builds a model under it, and reads its variables."""
        if seed not in self._drawn:
            drawn = draw(seed)
            self.are_alike |= any(_are_equal(drawn, before) for before in self._drawn.values())
            self._drawn[seed] = drawn
            if len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)
        return self._drawn[seed]


def _are_equal(values: Values, others: Values) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(values, others, strict=True))
