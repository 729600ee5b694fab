"""Knows when range tests are run, and when those of an earlier run hold."""

from __future__ import annotations

import time
from functools import cache

from lrrt import Bounds, Ramp, RangeTestResult, run_range_test
from pipeline.config.tables import StageConfig
from pipeline.console.events import Event, Note, RangeTestDone, RangeTestStarted, RepeatDone, Tell
from pipeline.console.stopping import Stopper
from pipeline.report.files import write_range_test
from pipeline.state.ownership import ForeignRun, differences
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import KeptRangeTest, keep_range_test, kept_range_test
from pipeline.steps.given_bounds import NoBounds
from pipeline.task.fingerprints import Fields, TaskPrint, range_test_fields
from pipeline.task.preparation import Prepared


def reusable(
    config: StageConfig, directory: RunDirectory, task: TaskPrint, given: RangeTestResult | None = None
) -> RangeTestResult | None:
    """Return the bounds that were given, or else the range tests of an earlier run where they hold for this one."""
    if given is not None:
        return given
    return _holding(kept_range_test(directory), range_test_fields(config, task))


def keep_given(directory: RunDirectory, bounds: RangeTestResult) -> RangeTestResult:
    """Keep bounds that come from elsewhere in the place of range tests."""
    keep_range_test(directory, KeptRangeTest(bounds, None))
    return bounds


def range_tests(
    config: StageConfig,
    directory: RunDirectory,
    prepared: Prepared,
    *,
    tell: Tell,
    stopper: Stopper,
    may_run: bool = True,
) -> RangeTestResult:
    """Return the range tests of an earlier run where they hold, or run what is missing of them.

    They depend on the task, their own keys, the seed and the batch size, and on nothing else of the study.

    Raises:
        ForeignRun: where those that are kept do not hold, and a study was made inside their bounds.
        NoBounds: where none hold and they may not be run.
    """
    kept = reusable(config, directory, prepared.known_by)
    if kept is not None:
        return kept
    fields = range_test_fields(config, prepared.known_by)
    changed = _changed(directory, fields)
    if changed and directory.fingerprint.exists():
        raise ForeignRun(
            f"{directory.state} holds a study inside the bounds of other range tests:\n{changed}\n"
            "Give these range tests their own --out and --state, or set these values back."
        )
    if not may_run:
        raise NoBounds(
            f"A search must have bounds, but {directory.state} holds those of other range tests:\n{changed}\n"
            "Run `lrrt range` again, or give --bounds or --range."
        )
    if changed:
        tell(Note(f"the range tests that are kept do not hold, so they are run again: {changed.strip()}"))
    note = cache(tell)  # each once, not once for every optimizer

    def tell_once(event: Event) -> None:
        (note if isinstance(event, Note) else tell)(event)

    parts = (
        range_test_of(name, config, directory, prepared, tell=tell_once, stopper=stopper)
        for name in config.range_test.optimizers
    )
    result = RangeTestResult.joined(list(parts))
    keep_range_test(directory, KeptRangeTest(result, fields))
    write_range_test(directory, result)
    return result


def range_test_of(
    optimizer: str, config: StageConfig, directory: RunDirectory, prepared: Prepared, *, tell: Tell, stopper: Stopper
) -> RangeTestResult:
    """Return the range tests of one optimizer, which may have been run elsewhere; keep them until all are gathered."""
    alone = with_optimizers(config, (optimizer,))
    fields = range_test_fields(alone, prepared.known_by)
    kept = _holding(kept_range_test(directory, optimizer), fields)
    if kept is None:
        began = time.monotonic()
        kept = _run(alone, prepared, tell, stopper)
        seconds = round(time.monotonic() - began, 3)
        keep_range_test(directory, KeptRangeTest(kept, fields, seconds), optimizer=optimizer)
    return kept


def with_optimizers(config: StageConfig, optimizers: tuple[str, ...]) -> StageConfig:
    """Return a config with other optimizers."""
    return config.model_copy(update={"range_test": config.range_test.model_copy(update={"optimizers": optimizers})})


def _holding(kept: KeptRangeTest | None, fields: Fields) -> RangeTestResult | None:
    holds = kept is not None and kept.fields is not None and not differences(kept.fields, fields)
    return kept.result if kept is not None and holds else None


def _changed(directory: RunDirectory, fields: Fields) -> str:
    kept = kept_range_test(directory)
    if kept is None:
        return ""
    return "  the bounds were given" if kept.fields is None else "\n".join(differences(kept.fields, fields))


def _run(config: StageConfig, prepared: Prepared, tell: Tell, stopper: Stopper) -> RangeTestResult:
    wanted = config.range_test
    began = time.monotonic()

    def on_start(label: str) -> None:
        nonlocal began
        stopper.check()
        began = time.monotonic()
        tell(RangeTestStarted(label, wanted.num_steps, wanted.repeats))

    def on_repeat(label: str, repeat: int) -> None:
        tell(RepeatDone(label, repeat, wanted.repeats))
        stopper.check()

    def on_done(label: str, found: Bounds) -> None:
        seconds = time.monotonic() - began
        tell(RangeTestDone(label, found.low, found.high, found.suggested, found.reason, seconds))

    return run_range_test(
        prepared.tested,
        Ramp(wanted.start_lr, wanted.end_lr, wanted.num_steps, wanted.spacing),
        optimizers=wanted.optimizers,
        repeats=wanted.repeats,
        seed=config.study.seed,
        batch_sizes=config.tested_batch_sizes,
        confirm_steps=wanted.confirm_steps,
        on_note=lambda text: tell(Note(text)),
        on_start=on_start,
        on_repeat=on_repeat,
        on_done=on_done,
    )
