"""Rank trials, the best first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from studies.objective import Objectives
from studies.trial import TrialResult


def ranked(results: Iterable[TrialResult], *, max_gap: float | None = None) -> list[TrialResult]:
    """Return the trials that may be the best, the best by their objective first; of equal configs the best.

    Args:
        results: the results of a study.
        max_gap: the largest generalisation gap allowed; trials with a larger one come last, the smallest excess first.
    """
    scored = [result for result in results if result.is_candidate]
    in_order = sorted(scored, key=lambda result: (excess_gap(result, max_gap), result.cost, result.number))
    return list({result.config: result for result in reversed(in_order)}.values())[::-1]


def best_of(results: Iterable[TrialResult], *, max_gap: float | None = None) -> TrialResult | None:
    """Return the first of `ranked`; None if there is none."""
    return next(iter(ranked(results, max_gap=max_gap)), None)


def pareto_front(results: Sequence[TrialResult], objectives: Objectives) -> list[TrialResult]:
    """Return the trials that may be the best and that no other is as good as in every objective and better in one.

    They are in the order of the first objective, the best first; of trials with equal values all are returned.
    """
    costs = {
        result.number: tuple(one.cost(value) for one in objectives if (value := result.value_of(one)) is not None)
        for result in results
    }
    whole = [one for one in ranked(results) if len(costs[one.number]) == len(objectives)]

    def is_dominated(result: TrialResult) -> bool:
        ours = costs[result.number]
        return any(
            theirs != ours and all(a <= b for a, b in zip(theirs, ours, strict=True))
            for theirs in (costs[other.number] for other in whole)
        )

    return [result for result in whole if not is_dominated(result)]


def excess_gap(result: TrialResult, max_gap: float | None) -> float:
    """Return `max(0, gap - max_gap)` of a trial's generalisation gap; 0 if `max_gap` is None, or if it has no gap."""
    gap = result.generalisation_gap
    return 0.0 if gap is None or max_gap is None else max(0.0, gap - max_gap)
