"""Knows which trials of a study are the best few."""

from __future__ import annotations

from collections.abc import Iterable

from studies.study import excess_gap
from studies.trial import TrialResult, TrialState


def top_of(results: Iterable[TrialResult], number: int, *, max_gap: float | None = None) -> list[TrialResult]:
    """Return so many trials that were trained to their end, the best first, each with values of its own.

    Args:
        results: of a study.
        number: how many; fewer where there are no more.
        max_gap: the largest generalisation gap allowed; those with a larger one come after all others.
    """
    scored = [result for result in results if result.state is TrialState.COMPLETED and result.score is not None]
    ranked = sorted(scored, key=lambda result: (excess_gap(result, max_gap), result.score, result.number))
    first = {result.config: result for result in reversed(ranked)}
    return [result for result in ranked if first[result.config] is result][:number]
