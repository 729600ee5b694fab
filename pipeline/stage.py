"""Knows the stage: range tests, narrowed space, study, overfitting check, results; resumed from where it was left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrrt import Bounds, Loops, Ramp, RangeTestResult, Verdict, run_range_test
from pipeline.config import StageConfig
from pipeline.console import (
    Note,
    RangeTestDone,
    RangeTestStarted,
    StageDone,
    StageStarted,
    StudyStarted,
    Tell,
    TrialDone,
)
from pipeline.progress import keep_range_test, keep_weights, kept_range_test
from pipeline.quiet_keras import import_keras
from pipeline.report import StageReport
from pipeline.results import is_complete, read_report, write_range_test, write_results
from pipeline.run_directory import RunDirectory
from pipeline.task import Task, TaskError, load_task
from studies import OptunaStudy, SearchSpace, Trained, Trainer, TrialResult, best_of


class NoUsableRange(Exception):
    """No optimizer has a learning rate worth searching."""


@dataclass(frozen=True, slots=True)
class RangeReport:
    """What the range tests alone found; `summary` is what bounds.json holds."""

    range_test: RangeTestResult
    summary: Mapping[str, Any]
    summary_path: Path


def run_stage(
    config: StageConfig, *, out: Path | str = "out", state: Path | str = "state", on_event: Tell = lambda event: None
) -> StageReport:
    """Run the whole stage, or what is left of it; it prints nothing.

    Args:
        config: what is searched.
        out: the folder of the results.
        state: the folder of the progress; the same call with the same folders goes on where it was left.
        on_event: told what happens; see `pipeline.console`.

    Raises:
        TaskError: where the task's data or model break their contract.
        NoUsableRange: where every optimizer's loss is not finite from the first step.
        NoTrialCompleted: where no trial was trained to its end.
        RunLocked, ForeignRun: where the folders are in use, or belong to another study.
    """
    with _claimed(config, out, state) as directory:
        kept = kept_range_test(directory)
        study = None if kept is None else _open_study(config, directory, kept)
        done = [] if study is None else list(study.results())
        if kept and study and len(done) >= config.study.num_trials and is_complete(directory, len(done)):
            on_event(StageStarted(f"nothing left to do: all {len(done)} trials have ended", directory.out))
            return read_report(directory, kept, study.space, done)
        on_event(StageStarted(_beginning(kept, len(done), config), directory.out))
        task, loops = _load(config)
        kept = kept or _test_ranges(config, loops, directory, on_event)
        study = study or _open_study(config, directory, kept)
        trainer = Trainer(loops, epochs=config.study.epochs, seed=config.study.seed)
        results = _search(config, directory, study, trainer, on_event)
        report = write_results(config, directory, kept, study.space, results, trainer=trainer, task=task, tell=on_event)
        on_event(StageDone(_conclusion(report)))
        return report


def run_range_tests(
    config: StageConfig, *, out: Path | str = "out", state: Path | str = "state", on_event: Tell = lambda event: None
) -> RangeReport:
    """Run the range tests alone, or read those that the state folder holds; arguments are those of `run_stage`.

    Raises:
        NoUsableRange: where no optimizer has bounds.
    """
    with _claimed(config, out, state) as directory:
        kept = kept_range_test(directory)
        text = "range tests: nothing left to do" if kept else "range tests: start"
        on_event(StageStarted(text, directory.out))
        if kept is None:
            kept = _test_ranges(config, _load(config)[1], directory, on_event)
        else:
            write_range_test(directory, kept)
        if all(found.low is None for found in kept.bounds.values()):
            raise NoUsableRange(_reasons(kept))
        on_event(StageDone(f"bounds of {', '.join(kept.bounds)} are in {directory.range_test}"))
        return RangeReport(kept, kept.as_dict(), directory.range_test / "bounds.json")


@contextmanager
def _claimed(config: StageConfig, out: Path | str, state: Path | str) -> Iterator[RunDirectory]:
    directory = RunDirectory(Path(out), Path(state))
    with directory.locked():
        # The number of trials is not part of it: a finished study goes on when it is raised.
        directory.claim(config.model_dump(mode="json", exclude={"study": {"num_trials", "storage"}}))
        yield directory


def _load(config: StageConfig) -> tuple[Task, Loops]:
    """Import the task, load its data, build its model: whatever is wrong with them shows here, before any training."""
    import_keras()
    task = load_task(config.task.build_model, config.task.load_data, seed=config.study.seed)
    try:
        loops = Loops(
            task.build_model,
            task.train,
            optimizers=config.range_test.optimizers,
            batch_size=config.range_test_batch_size,
            validation_data=task.validation,
        )
        for batch_size in config.study.batch_sizes:
            loops.check_batch_size(batch_size)
    except Exception as error:  # building the model runs the user's code, which may raise anything
        raise TaskError(f"{type(error).__name__}: {error}") from error
    return task, loops


def _test_ranges(config: StageConfig, loops: Loops, directory: RunDirectory, tell: Tell) -> RangeTestResult:
    wanted = config.range_test
    began = time.monotonic()

    def on_start(label: str) -> None:
        nonlocal began
        began = time.monotonic()
        tell(RangeTestStarted(label, wanted.num_steps, wanted.repeats))

    def on_done(label: str, found: Bounds) -> None:
        seconds = time.monotonic() - began
        tell(RangeTestDone(label, found.low, found.high, found.suggested, found.reason, seconds))

    ramp = Ramp(wanted.start_lr, wanted.end_lr, wanted.num_steps)
    result = run_range_test(
        loops, ramp, repeats=wanted.repeats, seed=config.study.seed, on_start=on_start, on_done=on_done
    )
    keep_range_test(directory, result)
    write_range_test(directory, result)
    return result


def _search(
    config: StageConfig, directory: RunDirectory, study: OptunaStudy, trainer: Trainer, tell: Tell
) -> list[TrialResult]:
    results = list(study.results())
    num_trials = config.study.num_trials
    tell(StudyStarted(config.study.engine, num_trials, len(results)))
    for found in study.space.optimizers:
        if found.is_fallback:
            tell(Note(f"{found.name}: no bounds, so the fallback range {found.low:g} to {found.high:g} is searched"))

    def on_trial(trained: Trained) -> None:
        best = best_of(results)
        keep_weights(directory, trained, best)
        results.append(trained.result)
        tell(_trial_done(trained.result, best_of(results), len(results), num_trials))

    return list(study.run(trainer, num_trials=num_trials, on_trial=on_trial))


def _open_study(config: StageConfig, directory: RunDirectory, range_test: RangeTestResult) -> OptunaStudy:
    if all(found.verdict is Verdict.NON_FINITE for found in range_test.bounds.values()):
        raise NoUsableRange(_reasons(range_test))
    wanted = config.study
    space = SearchSpace.from_bounds(
        range_test.bounds,
        schedules=wanted.schedules,
        batch_sizes=wanted.batch_sizes,
        fallback_range=wanted.fallback_range,
    )
    storage = wanted.storage or f"sqlite:///{directory.database.resolve()}"
    return OptunaStudy(space, storage=storage, sampler=wanted.sampler, seed=wanted.seed)


def _trial_done(result: TrialResult, best: TrialResult | None, num_done: int, num_trials: int) -> TrialDone:
    return TrialDone(
        number=result.number,
        num_done=num_done,
        num_trials=num_trials,
        state=result.state.name.lower(),
        score=result.score,
        best_score=None if best is None else best.score,
        optimizer=result.config.optimizer_name,
        schedule=result.config.schedule,
        lr=result.config.lr,
        epochs=len(result.train_losses),
        seconds=result.seconds,
    )


def _beginning(range_test: RangeTestResult | None, num_done: int, config: StageConfig) -> str:
    if range_test is None:
        return f"start: range tests, then {config.study.num_trials} trials"
    return f"resume: range tests are done, {num_done} of {config.study.num_trials} trials have ended"


def _conclusion(report: StageReport) -> str:
    best = report.best
    return (
        f"best is trial {best.number}: validation loss {best.score:.4g} after epoch {best.best_epoch}, "
        f"{best.config.optimizer_name} with lr {best.config.lr:.2e} {best.config.schedule}, batches of "
        f"{best.config.batch_size}; {report.overfitting.verdict.value}"
    )


def _reasons(range_test: RangeTestResult) -> str:
    reasons = "; ".join(f"{label}: {found.reason}" for label, found in range_test.bounds.items())
    return f"No optimizer has a learning rate worth searching. {reasons}."
