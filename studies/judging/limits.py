"""Say when a study may end before its number of trials, and which models it does not train."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from studies.objective import Objective
from studies.trial import TrialResult


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a study; None is no limit.

    Attributes:
        stop_after: trials in a row without a better score, after which the study ends.
        target: a score that is enough; the study ends with the first trial that reaches it.
        max_parameters: a model with more of them is not trained, and the sampler sees it as infeasible.

    Raises:
        ValueError: for a number of trials or parameters below 1, or a target that is not finite.
    """

    stop_after: int | None = None
    target: float | None = None
    max_parameters: int | None = None

    def __post_init__(self) -> None:
        for name in ("stop_after", "max_parameters"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"`{name}` must be >= 1, or None for no limit, got {number!r}.")
        if self.target is not None and not math.isfinite(self.target):
            raise ValueError(f"`target` must be finite, or None for no limit, got {self.target!r}.")

    def reason_to_end(
        self, results: Iterable[TrialResult], objective: Objective, known: Iterable[float] = ()
    ) -> str | None:
        """Return why a study needs no more trials; None if it does.

        Args:
            results: of the trials that have ended.
            objective: of the study.
            known: costs of trials of another study, which are no news.
        """
        if self.target is None and self.stop_after is None:
            return None
        best, since = min(known, default=math.inf), 0
        for result in sorted(results, key=lambda one: one.number):
            cost = result.cost if result.is_candidate and result.cost is not None else math.inf
            since = 0 if cost < best else since + 1
            best = min(best, cost)
        if self.target is not None and best <= objective.cost(self.target):
            return f"{objective.label} has reached the target of {self.target:g}"
        if self.stop_after is not None and since >= self.stop_after:
            return f"{since} trials in a row brought no better {objective.label}"
        return None

    def excess(self, num_parameters: int) -> int:
        """Return how many parameters a model has too many; 0 if it has few enough."""
        return 0 if self.max_parameters is None else max(0, num_parameters - self.max_parameters)


NO_LIMITS = Limits()
