"""Knows the stage: range tests, narrowed space, study, overfitting check, results; resumed from where it was left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrrt import RangeTestResult
from pipeline.config.messages import ConfigError
from pipeline.config.tables import HELD_OUT, StageConfig
from pipeline.console.events import Note, StageDone, StageStarted, Tell
from pipeline.console.stopping import Stopper
from pipeline.report.files import is_complete, read_report, write_html, write_manifest, write_range_test, write_results
from pipeline.report.summary import StageReport
from pipeline.state.ownership import check_claim
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import keep_task, kept_range_test, kept_task
from pipeline.steps.given_bounds import NoBounds, check_bounds
from pipeline.steps.opening import Begun, begin, earlier_run
from pipeline.steps.range_tests import range_test_of, range_tests, reusable, with_optimizers
from pipeline.steps.retraining import retrain_top
from pipeline.steps.search import NoUsableRange, reasons, storage_of
from pipeline.steps.widening import open_studies, search_and_widen
from pipeline.task.fingerprints import is_unchanged, study_fields
from pipeline.task.loading import Task
from pipeline.task.preparation import make_trainer, prepare
from pipeline.workers.local import LocalWorkers


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

    Args:
        config: what is searched.
        out: the folder of the results.
        state: the folder of the progress; the same call with the same folders goes on where it was left.
        workers: processes that train the trials; None for this one.
        on_event: told what happens; see `pipeline.console.display`.
        stopper: may stop the run before its end; see `pipeline.console.stopping`.

    Raises:
        TaskError: where the task's data or model break their contract.
        NoUsableRange: where every optimizer's loss is not finite from the first step.
        NoTrialCompleted: where no trial was trained to its end.
        RunLocked, ForeignRun: where the folders are in use, or belong to another study.
    """
    directory = RunDirectory(Path(out), Path(state))
    with directory.locked():
        return _go_on(config, directory, on_event, stopper or Stopper(), helpers=workers)


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
    """Run the study alone, inside bounds that exist; other arguments and what is raised are those of `run_stage`.

    Args:
        config: what is searched; where bounds are given, their optimizers take the place of the config's.
        bounds: from another range test, or by hand; where None, those of the same folders' range test.

    Raises:
        NoBounds: where there are none.
    """
    if bounds is not None:
        config = with_optimizers(config, tuple(dict.fromkeys(case.optimizer for case in bounds.cases.values())))
        check_bounds(config, bounds)
    directory = RunDirectory(Path(out), Path(state))
    with directory.locked():
        if bounds is None and kept_range_test(directory) is None:
            raise NoBounds(
                f"A search must have bounds, but {directory.state} holds none. Run `lrrt range` with the same folders "
                "first, or give --bounds or --range."
            )
        stop = stopper or Stopper()
        return _go_on(config, directory, on_event, stop, given=bounds, may_test=False, helpers=workers)


def run_range_tests(
    config: StageConfig,
    *,
    out: Path | str = "out",
    state: Path | str = "state",
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> RangeReport:
    """Run the range tests alone, or read those that the state folder holds; arguments are those of `run_stage`.

    Raises:
        NoUsableRange: where no optimizer has bounds.
    """
    directory = RunDirectory(Path(out), Path(state))
    with directory.locked():
        known = kept_task(directory)
        found = reusable(config, directory, known) if known and is_unchanged(config, known) else None
        if found is not None:
            on_event(StageStarted("range tests: nothing left to do", directory.out))
            write_range_test(directory, found)
        else:
            on_event(StageStarted("range tests: start", directory.out))
            prepared = prepare(config, stopper)
            found = range_tests(config, directory, prepared, tell=on_event, stopper=stopper or Stopper())
            keep_task(directory, prepared.known_by)
        if all(bounds.low is None for bounds in found.bounds.values()):
            raise NoUsableRange(reasons(found))
        on_event(StageDone(f"bounds of {', '.join(found.bounds)} are in {directory.range_test}"))
        return RangeReport(found, found.as_dict(), directory.range_test / "bounds.json")


def run_range_part(
    config: StageConfig,
    optimizer: str,
    *,
    out: Path | str = "out",
    state: Path | str = "state",
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> Path:
    """Run one optimizer's range tests and keep them for the run that gathers all; return the file that holds them.

    Other processes may test other optimizers in the same folders at the same time; other arguments are those of
    `run_stage`.

    Raises:
        ConfigError: for an optimizer that the config does not have.
    """
    if optimizer not in config.range_test.optimizers:
        raise ConfigError(f"--only must be one of {', '.join(config.range_test.optimizers)}, got {optimizer!r}.")
    directory = RunDirectory(Path(out), Path(state))
    on_event(StageStarted(f"range test of {optimizer}", directory.state))
    prepared = prepare(config, stopper)
    range_test_of(optimizer, config, directory, prepared, tell=on_event, stopper=stopper or Stopper())
    return directory.kept_range_test(optimizer)


def rewrite_report(config: StageConfig, *, out: Path | str = "out", state: Path | str = "state") -> StageReport:
    """Write report.html of a finished run again, from what its folders hold; nothing is trained.

    Raises:
        NotFinished: where the run has not ended.
    """
    directory = RunDirectory(Path(out), Path(state))
    with directory.locked():
        kept, known = kept_range_test(directory), kept_task(directory)
        if kept is None or known is None or not directory.summary.exists():
            raise NotFinished(f"{directory.out} must hold the results of a finished run. Run `lrrt run` first.")
        given = kept.result if kept.fields is None else None
        check_claim(directory, study_fields(config, known, given))
        report = read_report(config, directory, kept.result, open_studies(config, directory, kept.result, known.own))
        write_html(config, directory, report)
        write_manifest(directory)
        return report


class NotFinished(ValueError):
    """There are no results yet."""


def _go_on(
    config: StageConfig,
    directory: RunDirectory,
    tell: Tell,
    stopper: Stopper,
    *,
    given: RangeTestResult | None = None,
    may_test: bool = True,
    helpers: LocalWorkers | None = None,
) -> StageReport:
    if helpers is not None:  # KerasTuner's own folder is one process's; an Optuna study is kept there anyway
        config = with_storage(config, storage_of(config, directory))
    earlier = earlier_run(config, directory, given)
    if earlier and earlier.is_unchanged and (report := _finished(config, directory, earlier)):
        tell(StageStarted(_nothing_left(report), directory.out))
        return report
    tell(StageStarted(_beginning(config, earlier), directory.out))
    prepared = prepare(config, stopper)
    for text in _about_validation(config, prepared.task):
        tell(Note(text))
    trainer = make_trainer(config, prepared.cache, prepared.task, on_note=lambda text: tell(Note(text)))
    begun = begin(config, directory, prepared, tell=tell, stopper=stopper, given=given, may_test=may_test)
    if report := _finished(config, directory, begun):
        tell(StageDone(_nothing_left(report)))
        return report
    assert begun.studies is not None, "a run that has begun has a study"
    studies = search_and_widen(
        config,
        directory,
        begun.studies,
        trainer,
        reopen=lambda: begun.reopen(config, directory),
        helpers=helpers,
        tell=tell,
        stopper=stopper,
    )
    retrained = retrain_top(config, directory, prepared, trainer, studies.results(), tell=tell, stopper=stopper)
    report = write_results(
        config, directory, begun.tested, studies, retrained=retrained, trainer=trainer, task=prepared.task, tell=tell
    )
    tell(StageDone(_conclusion(report)))
    return report


def with_storage(config: StageConfig, url: str) -> StageConfig:
    """Return a config whose study is kept there."""
    return config.model_copy(update={"study": config.study.model_copy(update={"storage": url})})


def _finished(config: StageConfig, directory: RunDirectory, begun: Begun) -> StageReport | None:
    if begun.studies is None or not is_complete(config, directory, begun.studies):
        return None
    return read_report(config, directory, begun.tested, begun.studies)


def _about_validation(config: StageConfig, task: Task) -> Iterator[str]:
    fraction = config.study.validation_fraction
    if task.is_held_out:
        yield f"the task brings no validation data: {fraction:.0%} of the training data is held out for it"
    elif fraction != HELD_OUT:
        yield f"validation_fraction = {fraction:g} has no effect: the task brings its own validation data"


def _nothing_left(report: StageReport) -> str:
    return f"nothing left to do: all {len(report.trials)} trials have ended"


def _beginning(config: StageConfig, earlier: Begun | None) -> str:
    if earlier is None:
        return f"start: range tests, then {config.study.num_trials} trials"
    num_done, num_wanted = 0, config.study.num_trials
    if earlier.studies is not None:
        num_done, num_wanted = len(earlier.studies.results()), earlier.studies.num_wanted(config)
    return f"resume: range tests are done, {num_done} of {num_wanted} trials have ended"


def _conclusion(report: StageReport) -> str:
    best, mean = report.best, report.summary["best"]["mean_score"]
    again = "" if mean is None else f" ({mean:.4g} in the mean of its further trainings)"
    return (
        f"best is trial {best.number}: validation loss {best.score:.4g}{again} after epoch {best.best_epoch}, "
        f"{best.config.optimizer_name} with lr {best.config.lr:.2e} {best.config.schedule}, batches of "
        f"{best.config.batch_size}; {report.overfitting.verdict.value}"
    )
