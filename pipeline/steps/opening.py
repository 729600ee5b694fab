"""Open a run: see how far an earlier one came, take the folders, test the ranges, open the studies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lrrt import RangeTestResult
from pipeline.failures import NoBounds
from pipeline.run import Run
from pipeline.state.ownership import check_owner, take
from pipeline.state.stored import read_task, write_task
from pipeline.steps.arms import first_usable, has_arms, ranges_on_demand
from pipeline.steps.earlier_results import earlier_results
from pipeline.steps.given_bounds import check_bounds, config_within
from pipeline.steps.range_tests import (
    RangeTests,
    range_tests,
    range_tests_so_far,
    some_are_stored,
    stored_range_tests,
    why_not_stored,
)
from pipeline.steps.stage_studies import attributes_of, check_same, given_bounds, open_studies
from pipeline.steps.widening import Studies
from pipeline.task.fingerprints import Fields, TaskPrint, is_unchanged, study_fields
from studies import NoSuchStudy
from studies.objective import Objectives

if TYPE_CHECKING:
    from pipeline.task.preparation import Prepared


@dataclass(frozen=True, slots=True)
class Opened:
    """A run as far as it came.

    Attributes:
        task: what is trained.
        fields: what defines the study.
        bounds: that range tests found, or that were given, and the seconds that they took.
        studies: None if there are none yet.
        is_unchanged: whether the task need not be loaded to know that it is the same.
    """

    task: TaskPrint
    fields: Fields
    bounds: RangeTests
    studies: Studies | None
    is_unchanged: bool = False


def earlier(run: Run) -> Opened | None:
    """Return how far an earlier run came, without loading the task; None if it has no bounds for this one.

    Raises:
        ForeignRun: if the folders belong to another study.
        CorruptState: if the study is gone or damaged.
    """
    run.check_storage()
    task = read_task(run.directory)
    if task is None:
        return None
    fields = study_fields(run.config, task, run.given)
    check_owner(run.directory, fields)
    bounds = bounds_so_far(run, task)
    if bounds is None:
        return None
    try:
        studies = open_studies(run, bounds.result, task.own, attributes=attributes_of(fields, run.given), creates=False)
    except NoSuchStudy:
        studies = None
    return Opened(task, fields, bounds, studies, is_unchanged(run.config, task))


def bounds_so_far(run: Run, task: TaskPrint) -> RangeTests | None:
    """Return the bounds that were given or tested; None if too few are, which one is for a study with arms."""
    if run.given is not None:
        return RangeTests(run.given, 0.0)
    return range_tests_so_far(run, task) if has_arms(run.config) else stored_range_tests(run, task)


def with_given(run: Run, *, must_exist: bool = False) -> Run:
    """Return a run with the bounds that its stored study was given, whose optimizers take the place of the config's.

    Raises:
        NoSuchStudy: if there is no study, and it `must_exist`.
        CorruptState: if the study is gone or damaged.
    """
    run.check_storage()
    try:
        given = given_bounds(run)
    except NoSuchStudy:
        if must_exist:
            raise
        return run
    return run if given is None else within(run, given)


def within(run: Run, bounds: RangeTestResult) -> Run:
    """Return a run inside these bounds, whose optimizers take the place of the config's.

    Raises:
        NoBounds: if the config's batch sizes cannot be searched in them.
    """
    config = config_within(run.config, bounds)
    check_bounds(config, bounds)
    return replace(run, config=config, given=bounds)


def take_folders(run: Run, task: TaskPrint) -> Fields:
    """Take the folders for this study, unless the run joins another one; return what defines the study.

    Raises:
        ForeignRun: if the folders or the storage belong to another study.
    """
    fields = study_fields(run.config, task, run.given)
    check_owner(run.directory, fields)
    check_same(run, fields)
    earlier_results(run, task)  # refuses now what could not be used after the range tests
    if run.owns_folders:
        write_task(run.directory, task)
    return fields


def bounds_of(run: Run, prepared: Prepared) -> RangeTests:
    """Return the bounds that were given, or those of the range tests, of which what is left is run.

    Raises:
        NoBounds: if there are none, and ranges may not be tested.
    """
    if run.given is not None:
        return RangeTests(run.given, 0.0)
    stored = stored_range_tests(run, prepared.known_by)
    if stored is not None:
        return stored
    if not run.tests_ranges:
        raise NoBounds(
            f"A search must have bounds, but {run.directory.state} holds those of other range tests:\n"
            f"{why_not_stored(run, prepared.known_by)}\nRun `lrrt range` again, or give --bounds or --range."
        )
    return first_usable(run, prepared) if has_arms(run.config) else range_tests(run, prepared)


def narrow(run: Run, prepared: Prepared, fields: Fields, bounds: RangeTests, objectives: Objectives) -> Opened:
    """Open the studies of these objectives inside the bounds, or make the first of them.

    Raises:
        ForeignRun: if the folders or the storage belong to another study.
        NoUsableRange: if every optimizer's loss is not finite from the first step.
    """
    if run.owns_folders:
        run.make_storage()  # first, since folders that are taken and have lost their study are refused
        take(run.directory, fields)
    task = prepared.known_by
    attributes, warm = attributes_of(fields, run.given), earlier_results(run, task)
    studies = open_studies(
        run,
        bounds.result,
        task.own,
        objectives=objectives,
        attributes=attributes,
        warm=warm,
        ranges_of=ranges_on_demand(run, prepared),
    )
    return Opened(task, fields, bounds, studies)


def check_some_bounds(run: Run) -> None:
    """Refuse a search without bounds before its task is loaded.

    Raises:
        NoBounds: if none were given, ranges may not be tested, and no earlier run tested any.
    """
    if run.given is None and not run.tests_ranges and not some_are_stored(run):
        raise NoBounds(
            f"A search must have bounds, but {run.directory.state} holds none. Run `lrrt range` with the same "
            "folders first, or give --bounds or --range."
        )
