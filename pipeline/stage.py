"""Knows the stage: range tests, narrowed space, study, overfitting check, results; resumed from where it was left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrrt import Bounds, Loops, Ramp, RangeTestResult, run_range_test
from pipeline.config import StageConfig
from pipeline.events import RangeTestDone, RangeTestStarted, StageDone, StageStarted, Tell
from pipeline.mistakes import ConfigError
from pipeline.preparation import prepare
from pipeline.progress import keep_range_part, keep_range_test, kept_range_part, kept_range_test, range_part_file
from pipeline.report import StageReport
from pipeline.results import is_complete, read_report, write_html, write_manifest, write_range_test, write_results
from pipeline.run_directory import RunDirectory
from pipeline.search import NoUsableRange, open_study, reasons, search
from pipeline.search_bounds import NoBounds
from pipeline.stopping import Stopper
from studies import Trainer


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
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> StageReport:
    """Run the whole stage, or what is left of it; it prints nothing.

    Args:
        config: what is searched.
        out: the folder of the results.
        state: the folder of the progress; the same call with the same folders goes on where it was left.
        on_event: told what happens; see `pipeline.console`.
        stopper: may stop the run before its end; see `pipeline.stopping`.

    Raises:
        TaskError: where the task's data or model break their contract.
        NoUsableRange: where every optimizer's loss is not finite from the first step.
        NoTrialCompleted: where no trial was trained to its end.
        RunLocked, ForeignRun: where the folders are in use, or belong to another study.
    """
    with claimed(config, out, state) as directory:
        return _go_on(config, directory, on_event, stopper or Stopper())


def run_search(
    config: StageConfig,
    *,
    bounds: RangeTestResult | None = None,
    out: Path | str = "out",
    state: Path | str = "state",
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
    given = None
    if bounds is not None:
        config = _with_optimizers(config, tuple(bounds.bounds))
        given = {name: [found.low, found.high] for name, found in bounds.bounds.items()}
    with claimed(config, out, state, given) as directory:
        if kept_range_test(directory) is None:
            if bounds is None:
                raise NoBounds(
                    f"A search must have bounds, but {directory.state} holds none. Run `lrrt range` with the same "
                    "folders first, or give --bounds or --range."
                )
            keep_range_test(directory, bounds)
        return _go_on(config, directory, on_event, stopper or Stopper())


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
    with claimed(config, out, state) as directory:
        kept = kept_range_test(directory)
        text = "range tests: nothing left to do" if kept else "range tests: start"
        on_event(StageStarted(text, directory.out))
        if kept is None:
            kept = test_ranges(config, prepare(config)[1], directory, on_event, stopper or Stopper())
        else:
            write_range_test(directory, kept)
        if all(found.low is None for found in kept.bounds.values()):
            raise NoUsableRange(reasons(kept))
        on_event(StageDone(f"bounds of {', '.join(kept.bounds)} are in {directory.range_test}"))
        return RangeReport(kept, kept.as_dict(), directory.range_test / "bounds.json")


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
    claim(config, directory)
    kept = kept_range_part(directory, optimizer)
    text = f"range test of {optimizer}: {'start' if kept is None else 'nothing left to do'}"
    on_event(StageStarted(text, directory.state))
    if kept is None:
        keep_range_part(directory, optimizer, _run_range_part(config, optimizer, on_event, stopper or Stopper()))
    return range_part_file(directory, optimizer)


def rewrite_report(config: StageConfig, *, out: Path | str = "out", state: Path | str = "state") -> StageReport:
    """Write report.html of a finished run again, from what its folders hold; nothing is trained.

    Raises:
        NotFinished: where the run has not ended.
    """
    with claimed(config, out, state) as directory:
        kept = kept_range_test(directory)
        if kept is None or not directory.summary.exists():
            raise NotFinished(f"{directory.out} must hold the results of a finished run. Run `lrrt run` first.")
        study = open_study(config, directory, kept)
        report = read_report(directory, kept, study.space, study.results())
        write_html(config, directory, report)
        write_manifest(directory)
        return report


class NotFinished(ValueError):
    """There are no results yet."""


def _go_on(config: StageConfig, directory: RunDirectory, tell: Tell, stopper: Stopper) -> StageReport:
    kept = kept_range_test(directory)
    study = None if kept is None else open_study(config, directory, kept)
    done = [] if study is None else list(study.results())
    if kept and study and len(done) >= config.study.num_trials and is_complete(directory, len(done)):
        tell(StageStarted(f"nothing left to do: all {len(done)} trials have ended", directory.out))
        return read_report(directory, kept, study.space, done)
    tell(StageStarted(_beginning(kept, len(done), config), directory.out))
    task, loops = prepare(config)
    kept = kept or test_ranges(config, loops, directory, tell, stopper)
    study = study or open_study(config, directory, kept)
    trainer = Trainer(loops, epochs=config.study.epochs, seed=config.study.seed)
    results = search(config, directory, study, trainer, tell=tell, stopper=stopper)
    report = write_results(config, directory, kept, study.space, results, trainer=trainer, task=task, tell=tell)
    tell(StageDone(_conclusion(report)))
    return report


@contextmanager
def claimed(
    config: StageConfig, out: Path | str, state: Path | str, bounds: Mapping[str, object] | None = None
) -> Iterator[RunDirectory]:
    """Keep other processes out of the folders, and other studies, while the block runs; `claim` says what is raised."""
    directory = RunDirectory(Path(out), Path(state))
    with directory.locked():
        claim(config, directory, bounds)
        yield directory


def claim(config: StageConfig, directory: RunDirectory, bounds: Mapping[str, object] | None = None) -> None:
    """Keep the folders for this study.

    Raises:
        ForeignRun: where they belong to another.
    """
    # The number of trials is not part of it: a finished study goes on when it is raised. Nor are the machines.
    fields = config.model_dump(mode="json", exclude={"study": {"num_trials", "storage"}, "cluster": True})
    directory.claim(fields | ({} if bounds is None else {"bounds": bounds}))


def _with_optimizers(config: StageConfig, optimizers: tuple[str, ...]) -> StageConfig:
    return config.model_copy(update={"range_test": config.range_test.model_copy(update={"optimizers": optimizers})})


def test_ranges(
    config: StageConfig, loops: Loops, directory: RunDirectory, tell: Tell, stopper: Stopper
) -> RangeTestResult:
    """Test what other processes have not tested yet, join it with what they found, keep and write it."""
    parts = {name: kept_range_part(directory, name) for name in config.range_test.optimizers}
    if any(parts.values()):
        found = [part or _run_range_part(config, name, tell, stopper) for name, part in parts.items()]
        result = RangeTestResult.joined(found)
    else:
        result = _run_range_tests(config, loops, tell, stopper)
    keep_range_test(directory, result)
    write_range_test(directory, result)
    return result


def _run_range_part(config: StageConfig, optimizer: str, tell: Tell, stopper: Stopper) -> RangeTestResult:
    alone = _with_optimizers(config, (optimizer,))
    return _run_range_tests(alone, prepare(alone)[1], tell, stopper)


def _run_range_tests(config: StageConfig, loops: Loops, tell: Tell, stopper: Stopper) -> RangeTestResult:
    wanted = config.range_test
    began = time.monotonic()

    def on_start(label: str) -> None:
        nonlocal began
        stopper.check()
        began = time.monotonic()
        tell(RangeTestStarted(label, wanted.num_steps, wanted.repeats))

    def on_done(label: str, found: Bounds) -> None:
        seconds = time.monotonic() - began
        tell(RangeTestDone(label, found.low, found.high, found.suggested, found.reason, seconds))

    ramp = Ramp(wanted.start_lr, wanted.end_lr, wanted.num_steps)
    return run_range_test(
        loops, ramp, repeats=wanted.repeats, seed=config.study.seed, on_start=on_start, on_done=on_done
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
