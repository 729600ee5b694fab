"""Knows the studies of a stage: the first, and those that go on in wider bounds where the best rate lay at an edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lrrt import RangeTestResult
from pipeline.config.tables import StageConfig
from pipeline.console.events import Note, Tell
from pipeline.console.stopping import Stopper
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import Widening, keep_widenings, kept_widenings
from pipeline.steps.search import NAME, AnyStudy, numbered, open_study, search, space_of
from pipeline.workers.local import LocalWorkers
from studies import AtEdge, Dimension, SearchSpace, Trainer, TrialResult, at_edge, widen
from studies.ranking import top_of

MAX_WIDENINGS = 2  # a rate that still lies at an edge is better looked for by a range test with other ends
WIDENED_SHARE = 0.5  # of the number of trials: the new decade is one of two or three, and the rest is known


@dataclass(frozen=True, slots=True)
class Studies:
    """The studies of a stage, the widest last; their trials are numbered through.

    A study that goes on in wider bounds has ended for good: when the number of trials is raised, the last one goes on.
    """

    all: tuple[AnyStudy, ...]
    widenings: tuple[Widening, ...]

    @property
    def last(self) -> AnyStudy:
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
        found = (
            at_edge(by_number[made.trial], study.space) for made, study in zip(self.widenings, self.all, strict=False)
        )
        return tuple(edge for edge in found if edge is not None)

    def earlier(self) -> list[TrialResult]:
        """Return the trials of all studies but the last."""
        found: list[TrialResult] = []
        for study in self.all[:-1]:
            found += _numbered(study, len(found))
        return found

    def results(self) -> list[TrialResult]:
        """Return all trials that have ended, in the order of their numbers."""
        earlier = self.earlier()
        return [*earlier, *_numbered(self.last, len(earlier))]

    def num_wanted(self, config: StageConfig) -> int:
        """Return how many trials there are to be in all."""
        return config.study.num_trials + len(self.widenings) * num_widened_trials(config)


def num_widened_trials(config: StageConfig) -> int:
    """Return how many trials a study in wider bounds adds."""
    return max(1, round(WIDENED_SHARE * config.study.num_trials))


def open_studies(
    config: StageConfig,
    directory: RunDirectory,
    range_test: RangeTestResult,
    own: tuple[Dimension, ...],
    fields: Mapping[str, Any] | None = None,
    *,
    creates: bool = True,
) -> Studies:
    """Open the study inside the bounds that were found, and those in wider ones that were begun; see `open_study`."""
    space = space_of(config, range_test, own)
    found = Studies((open_study(config, directory, space, fields=fields, creates=creates),), ())
    for number, widening in enumerate(kept_widenings(directory), 1):
        results = found.results()
        space = widen(space, next(result for result in results if result.number == widening.trial))
        name = f"{NAME}-widened-{number}"
        study = open_study(config, directory, space, name=name, known=results, fields=fields, creates=creates)
        found = replace(found, all=(*found.all, study), widenings=(*found.widenings, widening))
    return found


def search_and_widen(
    config: StageConfig,
    directory: RunDirectory,
    studies: Studies,
    trainer: Trainer,
    *,
    reopen: Callable[[], Studies],
    helpers: LocalWorkers | None = None,
    tell: Tell,
    stopper: Stopper,
) -> Studies:
    """Run the last study to its end, and go on in wider bounds as often as the config and the best trial ask for it."""
    while True:
        earlier, num_trials = studies.earlier(), studies.num_wanted(config)
        search(
            config,
            directory,
            studies.last,
            trainer,
            earlier=earlier,
            num_trials=num_trials,
            helpers=helpers,
            tell=tell,
            stopper=stopper,
        )
        best = next(iter(top_of(studies.results(), 1, max_gap=config.study.max_gap)), None)
        edge = None if best is None else at_edge(best, studies.space)
        if best is None or edge is None or not config.study.widen or len(studies.widenings) >= MAX_WIDENINGS:
            return studies
        widening = Widening(trial=best.number, num_ended=len(studies.results()))
        keep_widenings(directory, [*studies.widenings, widening])
        tell(Note(f"{edge.reason}, so the search goes on in wider bounds"))
        studies = reopen()


def _numbered(study: AnyStudy, first: int) -> list[TrialResult]:
    return [numbered(result, first) for result in study.results()]
