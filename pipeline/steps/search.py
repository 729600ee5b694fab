"""Search inside the bounds, and go on in wider ones as often as the config and the best trial ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.console.events import StudyStarted
from pipeline.run import Run
from pipeline.steps.stage_studies import attributes_of, widened
from pipeline.steps.watching import Goal, SearchWatcher
from pipeline.steps.widening import MAX_WIDENINGS, Studies, Widening
from pipeline.task.fingerprints import Fields
from pipeline.task.trainers import Scorer
from studies import TrialResult, at_edge, best_of


def search_and_widen(
    run: Run,
    studies: Studies,
    trainer: Scorer,
    *,
    fields: Fields,
    before: Sequence[TrialResult] | None = None,
    hear: Callable[[], None] = lambda: None,
) -> Studies:
    """Run the last study to its end, and those in wider bounds after it.

    Args:
        run: whose.
        studies: those that were begun.
        trainer: trains the trials.
        fields: what defines the studies.
        before: the trials that had ended when the run began; None for those that have ended now.
        hear: says what others found besides trials, see `pipeline.steps.watching.SearchWatcher`.

    Returns:
        The studies, with those that were added.
    """
    attributes = attributes_of(fields, run.given)
    before = studies.results() if before is None else before
    while True:
        _search(run, studies, trainer, before, hear)
        results = studies.results()
        before = results
        best = best_of(results, max_gap=run.config.study.max_gap)
        edge = None if best is None else at_edge(best, studies.space)
        if best is None or edge is None or not run.config.study.widen or len(studies.widenings) >= MAX_WIDENINGS:
            return studies
        run.note(f"{edge.reason}, so the search goes on in wider bounds")
        widening = Widening(trial=best.number, num_ended=len(results))
        studies = widened(run, studies, widening, attributes=attributes)


def _search(
    run: Run, studies: Studies, trainer: Scorer, before: Sequence[TrialResult], hear: Callable[[], None]
) -> None:
    study, num_trials = studies.last, studies.num_wanted(run.config)
    run.tell(StudyStarted(run.config.study.engine, num_trials, len(before)))
    for optimizer in study.space.optimizers:
        if optimizer.is_fallback:
            rates = f"{optimizer.low:g} to {optimizer.high:g}"
            run.note(f"{optimizer.name}: no bounds, so the fallback range {rates} is searched")
    watcher = SearchWatcher(run, Goal(before, num_trials), hear)
    budget = num_trials - study.first_number
    with run.stopper.deferred():
        run.stopper.check()
        is_set_elsewhere = not run.owns_folders and study.budget > 0
        study.run(trainer, num_trials=None if is_set_elsewhere else budget, watcher=watcher)
