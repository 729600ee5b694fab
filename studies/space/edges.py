"""Knows whether the best trial lies at an edge of its bounds, and what a space widened there looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pydantic import PositiveFloat, computed_field

from lrrt.plain import Named
from studies.space.search_space import SearchSpace
from studies.trial import TrialResult

EDGE_SHARE = 0.05  # of the range, in decades: a best rate that is nearer to an end may well lie beyond it
WIDENED_DECADES = 1.0


class Edge(Named):
    """Which end of its bounds the best learning rate lies at; the value is the sentence shown."""

    LOW = "the best learning rate lies at the lower edge of its bounds"
    HIGH = "the best learning rate lies at the upper edge of its bounds"


@dataclass(frozen=True, slots=True)
class AtEdge:
    """The best learning rate lies so near to an end of its optimizer's bounds that a better one may lie beyond.

    Attributes:
        optimizer: whose bounds, with the batch size where they are of one.
        edge: which end.
        lr: the rate.
        low: the lower bound.
        high: the upper bound.
    """

    optimizer: str
    edge: Edge
    lr: PositiveFloat
    low: PositiveFloat
    high: PositiveFloat

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorator on a property
    @property
    def reason(self) -> str:
        """The edge with its numbers."""
        return f"{self.edge.value} ({self.optimizer}: {self.lr:.3g} of {self.low:.3g} to {self.high:.3g})"


def at_edge(result: TrialResult, space: SearchSpace) -> AtEdge | None:
    """Say at which edge of its optimizer's bounds a trial's learning rate lies; None inside, or for other optimizers.

    Args:
        result: the winner.
        space: what was searched.
    """
    lr, found = result.config.lr, space.range_of(result.config)
    if found is None:
        return None
    low, high = found.low, found.highest_peak(space.schedules)
    place = math.log(lr / low) / math.log(high / low)
    if place < EDGE_SHARE:
        return AtEdge(found.label, Edge.LOW, lr, low, high)
    return AtEdge(found.label, Edge.HIGH, lr, low, high) if place > 1 - EDGE_SHARE else None


def widen(space: SearchSpace, result: TrialResult, *, decades: float = WIDENED_DECADES) -> SearchSpace:
    """Return the space with the bounds of the winner's optimizer moved outwards at the edge where it lies.

    The rate found there becomes the suggested one. A space whose winner lies inside is returned as it is. A widened
    space is that of a new study, which takes the results of the old one as `known`.

    Args:
        space: what was searched.
        result: the winner.
        decades: by how much.

    Raises:
        ValueError: where it would not become wider.
    """
    if not 0 < decades < math.inf:
        raise ValueError(f"`decades` must be positive and finite, got {decades!r}.")
    found = at_edge(result, space)
    if found is None:
        return space
    factor = 10.0**decades
    low = found.low / factor if found.edge is Edge.LOW else found.low
    high = found.high * factor if found.edge is Edge.HIGH else found.high
    ranges = (
        replace(one, low=low, high=high, suggested=found.lr, cyclical_high=None)
        if one.label == found.optimizer
        else one
        for one in space.optimizers
    )
    return replace(space, optimizers=tuple(ranges))
