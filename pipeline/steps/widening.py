"""Hold the studies of a stage: the first, and those that go on in wider bounds."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.tables import StageConfig
from studies import AtEdge, SearchSpace, Study, TrialResult, at_edge

MAX_WIDENINGS = 2  # a rate that still lies at an edge is better looked for by a range test with other ends
WIDENED_SHARE = 0.5  # of the number of trials: the new decade is one of two or three, and the rest is known


@dataclass(frozen=True, slots=True)
class Widening:
    """The search went on in wider bounds, because trial number `trial` was the best when `num_ended` had ended."""

    trial: int
    num_ended: int


@dataclass(frozen=True, slots=True)
class Studies:
    """The studies of a stage, the widest last; their trials are numbered through.

    A study that goes on in wider bounds has ended for good: if the number of trials is raised, the last one goes on.

    Attributes:
        all: of them.
        widenings: where each but the first was widened.
    """

    all: tuple[Study, ...]
    widenings: tuple[Widening, ...] = ()

    @property
    def last(self) -> Study:
        """The study in the widest bounds."""
        return self.all[-1]

    @property
    def space(self) -> SearchSpace:
        """The widest bounds."""
        return self.last.space

    @property
    def edges(self) -> tuple[AtEdge, ...]:
        """At which edge the best trial lay when each widening was made."""
        by_number = {result.number: result for result in self.results()}
        every = (
            at_edge(by_number[made.trial], study.space) for made, study in zip(self.widenings, self.all, strict=False)
        )
        return tuple(edge for edge in every if edge is not None)

    def results(self) -> list[TrialResult]:
        """Return all trials that have ended, in the order of their numbers."""
        return [result for study in self.all for result in study.results()]

    def have_ended(self, config: StageConfig) -> bool:
        """Say whether no trial is left: all have ended, or a limit has ended the last study."""
        is_whole = len(self.results()) >= self.num_wanted(config) and not self.last.has_more()
        return is_whole or self.last.reason_to_end() is not None

    def num_wanted(self, config: StageConfig) -> int:
        """Return how many trials there are to be in all."""
        return config.study.num_trials + len(self.widenings) * num_widened_trials(config)


def num_widened_trials(config: StageConfig) -> int:
    """Return how many trials a study in wider bounds adds."""
    return max(1, round(WIDENED_SHARE * config.study.num_trials))
