"""Find whether the best learning rate lies at an edge of its bounds, and widen the space there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pydantic import PositiveFloat, computed_field

from lrrt.plain import Named
from studies.space.search_space import SearchSpace
from studies.trial import TrialResult

EDGE_SHARE = 0.05  # of the range, in decades; if the best rate is nearer to an end, a better one may lie beyond it
WIDENED_DECADES = 1.0


class Edge(Named):
    """The end of its bounds where the best learning rate lies; the value is the sentence shown."""

    LOW = "the best learning rate lies at the lower edge of its bounds"
    HIGH = "the best learning rate lies at the upper edge of its bounds"


@dataclass(frozen=True, slots=True)
class AtEdge:
    """The best learning rate lies so near to an end of its optimizer's bounds that a better one may lie beyond.

    Attributes:
        optimizer: the optimizer, with the batch size if the bounds are for one.
        edge: the end.
        lr: the rate.
        low: the lower bound.
        high: the upper bound.
    """

    optimizer: str
    edge: Edge
    lr: PositiveFloat
    low: PositiveFloat
    high: PositiveFloat

    @computed_field  # type: ignore[prop-decorator]  # mypy supports no decorator on a property
    @property
    def reason(self) -> str:
        """The edge with its numbers."""
        return f"{self.edge.value} ({self.optimizer}: {self.lr:.3g} of {self.low:.3g} to {self.high:.3g})"


def at_edge(result: TrialResult, space: SearchSpace) -> AtEdge | None:
    """Return the edge of its optimizer's bounds where a trial's rate lies; None if inside, or not of the space.

    Args:
        result: the best trial.
        space: the space that was searched.
    """
    lr, searched = result.config.lr, space.range_of(result.config)
    if searched is None:
        return None
    low, high = searched.low, searched.highest_peak(space.schedules)
    place = math.log(lr / low) / math.log(high / low)
    if place < EDGE_SHARE:
        return AtEdge(searched.label, Edge.LOW, lr, low, high)
    return AtEdge(searched.label, Edge.HIGH, lr, low, high) if place > 1 - EDGE_SHARE else None


def widen(space: SearchSpace, result: TrialResult, *, decades: float = WIDENED_DECADES) -> SearchSpace:
    """Return the space with the bounds of the best trial's optimizer moved outwards at the edge where its rate lies.

    The rate of the best trial becomes the suggested one. If it lies inside its bounds, the space is returned
    unchanged. A widened space needs a new study, which takes the results of the old one as `known`.

    Args:
        space: the space that was searched.
        result: the best trial.
        decades: how far the bound moves.

    Raises:
        ValueError: if `decades` is not positive and finite.
    """
    if not 0 < decades < math.inf:
        raise ValueError(f"`decades` must be positive and finite, got {decades!r}.")
    place = at_edge(result, space)
    if place is None:
        return space
    factor = 10.0**decades
    low = place.low / factor if place.edge is Edge.LOW else place.low
    high = place.high * factor if place.edge is Edge.HIGH else place.high
    ranges = (
        replace(one, low=low, high=high, suggested=place.lr, cyclical_high=None)
        if one.label == place.optimizer
        else one
        for one in space.optimizers
    )
    return replace(space, optimizers=tuple(ranges))
