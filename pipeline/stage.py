"""One stage: open the run, test the ranges, narrow the space, search it, train the best again, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lrrt import RangeTestResult
from pipeline.config.tables import StageConfig
from pipeline.console.events import StageDone, StageStarted, Tell
from pipeline.console.stopping import Stopper
from pipeline.failures import NotFinished
from pipeline.report.files import rewrite_html, write_range_test, write_results
from pipeline.report.reading import is_complete, read_report
from pipeline.report.summary import StageReport
from pipeline.results.manifest import check_results_owner, forget_changed_files
from pipeline.run import Run, holding, holding_results
from pipeline.sentences import about_source, beginning, conclusion, nothing_left
from pipeline.state.ownership import check_range_tests, take
from pipeline.state.stored import read_task, write_task
from pipeline.steps.arms import has_arms, hearing
from pipeline.steps.given_bounds import check_bounds, config_within
from pipeline.steps.narrowing import check_usable
from pipeline.steps.opening import (
    Opened,
    bounds_of,
    bounds_so_far,
    check_some_bounds,
    earlier,
    narrow,
    take_folders,
    with_given,
)
from pipeline.steps.range_tests import know_ended, range_tests, stored_range_tests
from pipeline.steps.retraining import train_again
from pipeline.steps.search import search_and_widen
from pipeline.steps.watching import StageWatcher
from pipeline.task.fingerprints import is_unchanged, range_test_fields
from pipeline.task.preparation import Prepared
from pipeline.workers.local import LocalWorkers, helped
from studies import Retrained, Trainer, TrialResult


@dataclass(frozen=True, slots=True)
class RangeReport:
    """What the range tests alone found; `summary` is what bounds.json holds."""

    range_test: RangeTestResult
    summary: Mapping[str, Any]
    summary_path: Path


def run_stage(
    config: StageConfig,
    *,
    out: Path | str = "out",
    state: Path | str = "state",
    workers: LocalWorkers | None = None,
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> StageReport:
    """Run the whole stage, or what is left of it; it prints nothing.

    Any number of processes may do so with one storage that they all reach, in the same folders or in others: they share
    range tests, trials and further trainings.

    Args:
        config: what is searched.
        out: the folder of the results.
        state: the folder of the progress; the same call with the same folders goes on where it was left.
        workers: processes on this machine that train in this one's place; None if this one trains.
        on_event: is called with each event; see `pipeline.console`.
        stopper: may stop the run before its end; see `pipeline.console.stopping`.

    Raises:
        TaskError: if the task's data or model break their contract.
        NoUsableRange: if every optimizer's loss is not finite from the first step.
        NoTrialCompleted: if no trial was trained to its end.
        RunLocked, ForeignRun: if the folders are in use, or belong to another study.
    """
    return go_on(Run.make(config, out, state, on_event, stopper), workers)


def run_search(
    config: StageConfig,
    *,
    bounds: RangeTestResult | None = None,
    out: Path | str = "out",
    state: Path | str = "state",
    workers: LocalWorkers | None = None,
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> StageReport:
    """Run the study alone, inside bounds that exist; the other arguments and errors are those of `run_stage`.

    Args:
        config: what is searched; if bounds are given, their optimizers take the place of the config's.
        bounds: from another range test, or by hand; if None, those of the same folders' range test.

    Raises:
        NoBounds: if there are none.
    """
    if bounds is not None:
        config = config_within(config, bounds)
        check_bounds(config, bounds)
    run = Run.make(config, out, state, on_event, stopper)
    return go_on(replace(run, given=bounds, tests_ranges=False), workers)


def run_range_tests(
    config: StageConfig,
    *,
    out: Path | str = "out",
    state: Path | str = "state",
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> RangeReport:
    """Run the range tests alone, or read those that are stored; the arguments are those of `run_stage`.

    Raises:
        NoUsableRange: if no optimizer has bounds.
    """
    with holding(Run.make(config, out, state, on_event, stopper)) as run:
        directory = run.directory
        task = read_task(directory)
        tests = None
        if task is not None and is_unchanged(config, task):
            check_range_tests(directory, range_test_fields(config, task))
            tests = stored_range_tests(run, task)
        run.tell(StageStarted(f"range tests: {'start' if tests is None else 'nothing left to do'}", directory.out))
        if tests is None:
            know_ended(run)
            prepared = run.prepare(config, run.stopper, run.note)
            check_range_tests(directory, range_test_fields(config, prepared.known_by))
            tests = range_tests(run, prepared)
            if run.owns_folders:
                write_task(directory, prepared.known_by)
        if run.owns_folders:
            write_range_test(directory, tests.result)
        check_usable(tests.result)
        run.tell(StageDone(f"bounds of {', '.join(tests.result.bounds)} are in {directory.range_test}"))
        return RangeReport(tests.result, tests.result.to_dict(), directory.range_test / "bounds.json")


def rewrite_report(config: StageConfig, *, out: Path | str = "out", state: Path | str = "state") -> StageReport:
    """Write report.html of a finished run again, from what its folders hold; nothing is trained.

    Raises:
        NotFinished: if the run has not ended.
    """
    run = with_given(Run.make(config, out, state))
    with run.directory.locked():
        check_results_owner(run)
        opened = earlier(run)
        if opened is None or opened.studies is None or not run.directory.summary.exists():
            raise NotFinished(f"{run.directory.out} must hold the results of a finished run. Run `lrrt run` first.")
        report = read_report(run, opened.bounds.result, opened.studies)
        rewrite_html(run, report)
        return report


def go_on(run: Run, workers: LocalWorkers | None = None) -> StageReport:
    """Do what is left of a run, and report; the arguments and errors are those of `run_stage`."""
    with holding(run) as run:
        if run.owns_folders:
            check_results_owner(run)
        opened = earlier(run)
        if opened is not None and opened.is_unchanged and (report := finished(run, opened)):
            run.tell(StageStarted(nothing_left(report), run.directory.out))
            return report
        check_some_bounds(run)
        know_ended(run)
        run.tell(StageStarted(beginning(run, opened), run.directory.out))
        if run.owns_folders:
            forget_changed_files(run)
        before = opened.studies.results() if opened is not None and opened.studies is not None else []
        with helped(run, workers) as trained_run:
            prepared = run.prepare(run.config, run.stopper, run.note)
            about_task = *prepared.data_use.notes, *prepared.known_by.notes
            for text in (*about_source(run, opened, prepared), *about_task):
                run.note(text)
            trained = train(trained_run, prepared, before=before)
        with holding_results(run):
            return _report(run, prepared, trained)


def finished(run: Run, opened: Opened) -> StageReport | None:
    """Return the report of a run whose results are all written; None if they are not."""
    if opened.studies is None or not is_complete(run, opened.studies):
        return None
    return read_report(run, opened.bounds.result, opened.studies)


@dataclass(frozen=True, slots=True)
class TrainedStage:
    """A stage whose trainings have all ended."""

    opened: Opened
    retrained: tuple[Retrained, ...]
    trainer: Trainer


def train(run: Run, prepared: Prepared, *, before: Sequence[TrialResult] | None = None) -> TrainedStage:
    """Do what every process of a run does: test ranges, search, train the best again; wait for what others do.

    Args:
        run: whose.
        prepared: its task.
        before: the trials that had ended when the run began; None for those that have ended when the search begins.

    Raises:
        NoBounds, NoUsableRange, ForeignRun: see `run_search` and `run_stage`.
    """
    on_note = StageWatcher(run).on_note
    trainer = prepared.trainer(run.config, on_note)
    fields = take_folders(run, prepared.known_by)
    bounds = bounds_of(run, prepared)
    opened = narrow(run, prepared, fields, bounds, trainer.objectives)
    if run.owns_folders and not has_arms(run.config):  # of arms only the first was tested, and pictures take a while
        write_range_test(run.directory, bounds.result)
    assert opened.studies is not None, "a space that was narrowed has a study"
    scorer = prepared.scorer(run.config, trainer, on_note)
    hear = hearing(run, prepared)
    studies = search_and_widen(run, opened.studies, scorer, fields=fields, before=before, hear=hear)
    retrained = train_again(run, prepared, scorer, studies.results())
    tested = bounds_so_far(run, prepared.known_by) or bounds  # a study with arms has tested more of them
    return TrainedStage(replace(opened, bounds=tested, studies=studies), retrained, trainer)


def _report(run: Run, prepared: Prepared, trained: TrainedStage) -> StageReport:
    opened = trained.opened
    if not run.owns_folders:  # the process that held them may have ended before it said whose they are
        write_task(run.directory, opened.task)
        take(run.directory, opened.fields)
    if report := finished(run, opened):
        run.tell(StageDone(nothing_left(report)))
        return report
    report = write_results(run, opened, retrained=trained.retrained, trainer=trained.trainer, prepared=prepared)
    run.tell(StageDone(conclusion(report)))
    run.tell(StageDone(f"how sure that is, and what to do next: {run.directory.html}"))
    return report
