"""One stage: open the run, test the ranges, narrow the space, search it, train the best again, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrrt import RangeTestResult
from pipeline.config.tables import HELD_OUT, StageConfig
from pipeline.console.events import StageDone, StageStarted, Tell
from pipeline.console.stopping import Stopper
from pipeline.failures import NoBounds, NotFinished, RunLocked
from pipeline.report.files import is_complete, read_report, rewrite_html, write_range_test, write_results
from pipeline.report.manifest import check_results_owner, forget_changed_files
from pipeline.report.summary import StageReport
from pipeline.run import Run
from pipeline.state.ownership import check_range_tests, own
from pipeline.state.stored import read_task, write_task
from pipeline.steps.given_bounds import check_bounds, config_within
from pipeline.steps.narrowing import check_usable
from pipeline.steps.opening import Opened, begin, earlier, with_given
from pipeline.steps.range_tests import range_tests, some_are_stored, stored_range_tests
from pipeline.steps.retraining import train_again
from pipeline.steps.search import search_and_widen
from pipeline.steps.watching import StageWatcher
from pipeline.task.fingerprints import is_unchanged, range_test_fields
from pipeline.task.preparation import Prepared, make_trainer, prepare
from pipeline.workers.local import LocalWorkers
from pipeline.workers.submission import new_submission, print_job, submit
from studies import Retrained, Trainer, TrialResult, Worker
from studies.storage.urls import address

if TYPE_CHECKING:
    from pipeline.task.loading import Task


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
        on_event: hears what happens; see `pipeline.console`.
        stopper: may stop the run before its end; see `pipeline.console.stopping`.

    Raises:
        TaskError: if the task's data or model break their contract.
        NoUsableRange: if every optimizer's loss is not finite from the first step.
        NoTrialCompleted: if no trial was trained to its end.
        RunLocked, ForeignRun: if the folders are in use, or belong to another study.
    """
    run = Run.make(config, out, state, on_event, stopper)
    with _holding(run) as holder:
        return _go_on(holder, helpers=workers)


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
    with _holding(run) as holder:
        if bounds is None and not some_are_stored(run):
            raise NoBounds(
                f"A search must have bounds, but {run.directory.state} holds none. Run `lrrt range` with the same "
                "folders first, or give --bounds or --range."
            )
        return _go_on(holder, given=bounds, may_test=False, helpers=workers)


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
    run = Run.make(config, out, state, on_event, stopper)
    directory = run.directory
    with _holding(run) as holder:
        task = read_task(directory)
        tests = None
        if task is not None and is_unchanged(config, task):
            check_range_tests(directory, range_test_fields(config, task))
            tests = stored_range_tests(run, task)
        run.tell(StageStarted(f"range tests: {'start' if tests is None else 'nothing left to do'}", directory.out))
        if tests is None:
            prepared = prepare(config, run.stopper)
            check_range_tests(directory, range_test_fields(config, prepared.known_by))
            tests = range_tests(run, prepared)
            if holder.owns_folders:
                write_task(directory, prepared.known_by)
        if holder.owns_folders:
            write_range_test(directory, tests.result)
        check_usable(tests.result)
        run.tell(StageDone(f"bounds of {', '.join(tests.result.bounds)} are in {directory.range_test}"))
        return RangeReport(tests.result, tests.result.as_dict(), directory.range_test / "bounds.json")


def run_worker(
    config: StageConfig,
    *,
    out: Path | str = "out",
    state: Path | str = "state",
    worker_id: str | None = None,
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> None:
    """Do what is open of a stage that other processes run, until nothing is left, and leave the results to them.

    The run directory is not locked, and need not be shared: then a trial that was interrupted begins anew elsewhere,
        and the weights of the best trial are trained again.

    Args:
        config: the stage's own.
        out: the folder of the results, to which nothing is written but TensorBoard's logs.
        state: the folder of checkpoints and weights, and, without a storage in the config, of the study.
        worker_id: the same when this worker is started again; None for what its batch scheduler says.
        on_event: hears what happens.
        stopper: may stop it.

    Raises:
        NoSuchStudy: if there is nothing to join.
        ForeignRun: if the study is another config's.
        StorageUnreachable, StorageOfAnotherVersion: if the storage cannot be used.
    """
    run = replace(Run.make(config, out, state, on_event, stopper), worker=Worker.here(worker_id), owns_folders=False)
    run, given = with_given(run, must_exist=not config.study.storage)
    run.tell(StageStarted(f"worker {run.worker.id} joins the study in {address(run.storage)}", run.directory.state))
    prepared = prepare(run.config, run.stopper)
    _train(run, prepared, given=given, may_test=given is None)
    run.tell(StageDone(f"worker {run.worker.id}: nothing is left to do"))


def submit_stage(
    config: StageConfig,
    *,
    config_file: Path,
    options: Mapping[str, Any],
    num_workers: int,
    app_dir: Path = Path(),
    dry_run: Callable[[str], None] | None = None,
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> Path:
    """Hand the stage to the cluster of the config, or run it with workers on this machine; return the summary's path.

    Args:
        config: what is searched.
        config_file: where it was read from, which the tasks read again.
        options: of `lrrt run`, by name, "out" and "state" among them.
        num_workers: tasks at a time.
        app_dir: where workers on this machine find the task's module.
        dry_run: takes the job as text, if nothing is to be written or submitted.
        on_event: hears what happens.
        stopper: may stop a run on this machine.

    Raises:
        NoSharedStorage, SlurmError, RunLocked: see `pipeline.workers.submission.submit`.
    """
    run = Run.make(config, options["out"], options["state"], on_event, stopper)
    submission = new_submission(config, num_workers=num_workers, config_file=config_file, options=options)
    if dry_run is not None:
        print_job(run, submission, dry_run)
    elif config.cluster.kind == "local":
        workers = LocalWorkers(num_workers, app_dir)
        run_stage(
            config, out=options["out"], state=options["state"], workers=workers, on_event=on_event, stopper=stopper
        )
    elif (opened := earlier(*with_given(run))) is not None and opened.is_unchanged and _finished(run, opened):
        run.tell(StageStarted("nothing left to do", run.directory.out))
    else:
        submit(run, submission)
    return run.directory.summary


def rewrite_report(config: StageConfig, *, out: Path | str = "out", state: Path | str = "state") -> StageReport:
    """Write report.html of a finished run again, from what its folders hold; nothing is trained.

    Raises:
        NotFinished: if the run has not ended.
    """
    run, given = with_given(Run.make(config, out, state))
    with run.directory.locked():
        check_results_owner(run)
        opened = earlier(run, given)
        if opened is None or opened.studies is None or not run.directory.summary.exists():
            raise NotFinished(f"{run.directory.out} must hold the results of a finished run. Run `lrrt run` first.")
        report = read_report(run, opened.bounds.result, opened.studies)
        rewrite_html(run, report)
        return report


def _go_on(
    run: Run,
    *,
    given: RangeTestResult | None = None,
    may_test: bool = True,
    helpers: LocalWorkers | None = None,
) -> StageReport:
    if run.owns_folders:
        check_results_owner(run)
    opened = earlier(run, given)
    if opened is not None and opened.is_unchanged and (report := _finished(run, opened)):
        run.tell(StageStarted(_nothing_left(report), run.directory.out))
        return report
    run.tell(StageStarted(_beginning(run, opened), run.directory.out))
    if run.owns_folders:
        forget_changed_files(run)
    before = opened.studies.results() if opened is not None and opened.studies is not None else []
    with _helped(run, helpers) as helped:
        prepared = prepare(helped.config, helped.stopper)
        for text in _about_validation(helped.config, prepared.task):
            helped.note(text)
        opened, retrained, trainer = _train(helped, prepared, given=given, may_test=may_test, before=before)
    with _results_of(run):
        if not run.owns_folders:  # the process that held them may have ended before it said whose they are
            write_task(run.directory, opened.task)
            own(run.directory, opened.fields)
        if report := _finished(run, opened):
            run.tell(StageDone(_nothing_left(report)))
            return report
        report = write_results(run, opened, retrained=retrained, trainer=trainer, task=prepared.task)
    run.tell(StageDone(_conclusion(report)))
    return report


def _train(
    run: Run,
    prepared: Prepared,
    *,
    given: RangeTestResult | None,
    may_test: bool,
    before: Sequence[TrialResult] | None = None,
) -> tuple[Opened, tuple[Retrained, ...], Trainer]:
    """Do what every process of a run does: test ranges, search, train the best again; wait for what others do."""
    trainer = make_trainer(run.config, prepared.cache, prepared.task, on_note=StageWatcher(run).on_note)
    opened = begin(run, prepared, given=given, may_test=may_test)
    assert opened.studies is not None, "a run that has begun has a study"
    if run.owns_folders:
        write_range_test(run.directory, opened.bounds.result)
    before = opened.studies.results() if before is None else before
    studies = search_and_widen(run, opened.studies, trainer, attributes=opened.attributes, before=before)
    retrained = train_again(run, prepared, trainer, studies.results())
    return replace(opened, studies=studies), retrained, trainer


@contextmanager
def _holding(run: Run) -> Iterator[Run]:
    """Hold the run directory while the block runs; if another process does so and shares its storage, join that."""
    with ExitStack() as stack:
        try:
            stack.enter_context(run.directory.locked())
        except RunLocked:
            if not run.config.study.storage:
                raise
            run = replace(run, owns_folders=False)
        yield run


@contextmanager
def _results_of(run: Run) -> Iterator[None]:
    """Hold the run directory while results are written; a process that joined waits for the one that holds it."""
    with ExitStack() as stack:
        while not run.owns_folders:
            try:
                stack.enter_context(run.directory.locked())
                break
            except RunLocked:
                run.stopper.check()
        yield


@contextmanager
def _helped(run: Run, helpers: LocalWorkers | None) -> Iterator[Run]:
    """Have helpers train in this process's place while the block runs."""
    if helpers is None:
        yield run
        return
    with helpers.at_work(run) as have_ended:
        yield replace(run, trains=have_ended)


def _finished(run: Run, opened: Opened) -> StageReport | None:
    if opened.studies is None or not is_complete(run, opened.studies):
        return None
    return read_report(run, opened.bounds.result, opened.studies)


def _about_validation(config: StageConfig, task: Task) -> Iterator[str]:
    fraction = config.study.validation_fraction
    if task.is_held_out:
        yield f"the task brings no validation data: {fraction:.0%} of the training data is held out for it"
    elif fraction != HELD_OUT:
        yield f"validation_fraction = {fraction:g} has no effect: the task brings its own validation data"


def _nothing_left(report: StageReport) -> str:
    return f"nothing left to do: all {len(report.trials)} trials have ended"


def _beginning(run: Run, opened: Opened | None) -> str:
    if opened is None:
        return f"start: range tests, then {run.config.study.num_trials} trials"
    num_done, num_wanted = 0, run.config.study.num_trials
    if opened.studies is not None:
        num_done, num_wanted = len(opened.studies.results()), opened.studies.num_wanted(run.config)
    return f"resume: range tests are done, {num_done} of {num_wanted} trials have ended"


def _conclusion(report: StageReport) -> str:
    best, mean = report.best, report.summary["best"]["mean_score"]
    again = "" if mean is None else f" ({mean:.4g} in the mean of its further trainings)"
    return (
        f"best is trial {best.number}: validation loss {best.score:.4g}{again} after epoch {best.best_epoch}, "
        f"{best.config.optimizer_name} with lr {best.config.lr:.2e} {best.config.schedule}, batches of "
        f"{best.config.batch_size}; {report.overfitting.verdict.value}"
    )
