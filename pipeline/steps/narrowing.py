"""Narrow the search space to the bounds that the range tests found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrrt import RangeTestResult, Verdict
from pipeline.config.tables import StageConfig
from pipeline.failures import NoUsableRange
from studies import Dimension, SearchSpace


def space_of(config: StageConfig, bounds: RangeTestResult, own: Sequence[Dimension]) -> SearchSpace:
    """Return what is searched: rates inside the bounds.

    Args:
        config: what else is searched.
        bounds: that range tests found, or that were given.
        own: the hyperparameters of the user's model.

    Raises:
        NoUsableRange: if every optimizer's loss is not finite from the first step.
    """
    if all(one.verdict is Verdict.NON_FINITE for one in bounds.bounds.values()):
        raise NoUsableRange(reasons(bounds))
    study = config.study
    options: dict[str, Any] = {
        "schedules": study.schedules,
        "batch_sizes": study.batch_sizes,
        "fallback_range": study.fallback_range,
        "searches_warmup": study.searches_warmup,
        "weight_decay": study.weight_decay,
        "momentum": study.momentum,
        "own": own,
    }
    if all(bounds.curves.values()):
        return SearchSpace.from_result(bounds, **options)
    return SearchSpace.from_bounds(bounds.bounds, cases=bounds.cases, **options)  # given, so without curves


def check_usable(bounds: RangeTestResult) -> None:
    """Refuse range tests of which none found bounds.

    Raises:
        NoUsableRange: with the reason of each.
    """
    if all(one.low is None for one in bounds.bounds.values()):
        raise NoUsableRange(reasons(bounds))


def reasons(bounds: RangeTestResult) -> str:
    """Return why no optimizer has bounds, as a sentence each."""
    every = "; ".join(f"{label}: {one.reason}" for label, one in bounds.bounds.items())
    return f"No optimizer has a learning rate worth searching. {every}."
