"""Define the further trainings of a trial, with their scores, mean and spread."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from studies.trial import TrialResult


@dataclass(frozen=True, slots=True)
class Training:
    """A further training of a trial, named after its round; the number of the result is the trial's."""

    name: str
    result: TrialResult

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"training": self.name, **self.result.as_dict()}


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of several trainings of one trial.

    Attributes:
        results: the results of the trainings.
        num_planned: the number of trainings if none is left out because the trial is clearly worse than another.
    """

    results: tuple[TrialResult, ...]
    num_planned: int = 0

    @property
    def ended(self) -> tuple[float, ...]:
        """The scores of the trainings that were completed."""
        return tuple(result.score for result in self.results if result.is_candidate and result.score is not None)

    @property
    def costs(self) -> tuple[float, ...]:
        """The scores of the trainings that were completed, with the sign that makes lower better."""
        return tuple(result.cost for result in self.results if result.is_candidate and result.cost is not None)

    @property
    def mean_score(self) -> float | None:
        """The mean of the scores; None if a training was not completed, or was left out."""
        has_all = len(self.ended) == len(self.results) >= max(1, self.num_planned)
        return fmean(self.ended) if has_all else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the scores; None if there are fewer than two."""
        return stdev(self.ended) if len(self.ended) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        scores = [result.score if result.is_candidate else None for result in self.results]
        return {"mean_score": self.mean_score, "spread": self.spread, "scores": scores}


@dataclass(frozen=True, slots=True)
class Retrained:
    """A trial and its further trainings.

    Attributes:
        trial: the trial as the study trained it.
        on_seeds: its trainings on the same data with fresh seeds.
        on_folds: its trainings on folds of the data.
        num_folds: how many folds there are; 0 if it is not trained on folds.
    """

    trial: TrialResult
    on_seeds: tuple[Training, ...]
    on_folds: tuple[Training, ...]
    num_folds: int = 0

    @property
    def trainings(self) -> tuple[Training, ...]:
        """All further trainings."""
        return (*self.on_seeds, *self.on_folds)

    @property
    def seeds(self) -> Scores:
        """The scores on fresh seeds."""
        return Scores(tuple(training.result for training in self.on_seeds))

    @property
    def folds(self) -> Scores:
        """The scores on folds; fewer than `num_folds` if the first ones were clearly worse than another trial's."""
        return Scores(tuple(training.result for training in self.on_folds), self.num_folds)

    @property
    def judged(self) -> Scores:
        """The scores by which trials are ranked: on folds, which also differ by their data, or else on seeds."""
        return self.folds if self.on_folds else self.seeds

    @property
    def mean_score(self) -> float | None:
        """The mean by which trials are ranked; None if a training was not completed, or was left out."""
        return self.judged.mean_score

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "number": self.trial.number,
            "score": self.trial.score,
            "mean_score": self.mean_score,
            "spread": self.judged.spread,
            "seeds": self.seeds.as_dict(),
            "folds": self.folds.as_dict(),
        }
