"""Rank trials, the best first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from studies.objective import Objectives
from studies.trial import TrialResult
from studies.trial_config import TrialConfig


def ranked(results: Iterable[TrialResult], *, max_gap: float | None = None) -> list[TrialResult]:
    """Return the trials that may be the best, the best by their objective first; of equal configs the best.

    Args:
        results: the results of a study.
        max_gap: the largest generalisation gap allowed; trials with a larger one come last, the smallest excess first.
    """
    scored = [result for result in results if result.is_candidate]
    in_order = sorted(scored, key=lambda result: (excess_gap(result, max_gap), result.cost, result.number))
    best_of_config: dict[TrialConfig, TrialResult] = {}
    for result in in_order:
        best_of_config.setdefault(result.config, result)
    return list(best_of_config.values())


def best_of(results: Iterable[TrialResult], *, max_gap: float | None = None) -> TrialResult | None:
    """Return the first of `ranked`; None if there is none."""
    return next(iter(ranked(results, max_gap=max_gap)), None)


class Leaders:
    """Know the best few of results that come one after the other; what a result costs does not grow with their number.

    Args:
        results: that have come so far.
        num: how many are the best few.
        max_gap: as of `ranked`.
    """

    def __init__(self, results: Iterable[TrialResult], *, num: int, max_gap: float | None) -> None:
        self._num, self._max_gap = num, max_gap
        every = list(results)
        self._parts = {result.number: result.part for result in every}
        self.best = self._ranked(every)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, result: TrialResult) -> bool:
        return self._parts.get(result.number) == result.part

    def has_ended(self, number: int) -> bool:
        """Say whether a result of this trial has come."""
        return number in self._parts

    def with_one_more(self, result: TrialResult) -> list[TrialResult]:
        """Return the best few if this result comes too."""
        return self._ranked([*self.best, result])

    def add(self, result: TrialResult) -> None:
        """Take one more result, which takes the place of an earlier part of the same trial."""
        self._parts[result.number] = result.part
        self.best = self.with_one_more(result)

    def _ranked(self, results: Iterable[TrialResult]) -> list[TrialResult]:
        return ranked(results, max_gap=self._max_gap)[: self._num]


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
