"""Open a run: see how far an earlier one came, take the folders, test the ranges, open the studies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lrrt import RangeTestResult
from pipeline.failures import NoBounds
from pipeline.run import Run
from pipeline.state.ownership import check_owner, own
from pipeline.state.stored import read_task, write_task
from pipeline.steps.given_bounds import config_within
from pipeline.steps.range_tests import RangeTests, range_tests, stored_range_tests, why_not_stored
from pipeline.steps.stage_studies import Studies, attributes_of, check_same, given_bounds, open_studies
from pipeline.task.fingerprints import Fields, TaskPrint, is_unchanged, study_fields
from studies import NoSuchStudy

if TYPE_CHECKING:
    from pipeline.task.preparation import Prepared


@dataclass(frozen=True, slots=True)
class Opened:
    """A run as far as it came.

    Attributes:
        task: what is trained.
        fields: what defines the study.
        bounds: that range tests found, or that were given, and the seconds that they took.
        given: the bounds that were given; None if they were tested.
        studies: None if there are none yet.
        is_unchanged: whether the task need not be loaded to know that it is the same.
    """

    task: TaskPrint
    fields: Fields
    bounds: RangeTests
    given: RangeTestResult | None
    studies: Studies | None
    is_unchanged: bool = False

    @property
    def attributes(self) -> dict[str, Any]:
        """What is stored in a new study."""
        return attributes_of(self.fields, self.given)


def earlier(run: Run, given: RangeTestResult | None = None) -> Opened | None:
    """Return how far an earlier run came, without loading the task; None if it has no bounds for this one.

    Raises:
        ForeignRun: if the folders belong to another study.
        CorruptState: if the study is gone or damaged.
    """
    run.check_storage()
    task = read_task(run.directory)
    if task is None:
        return None
    fields = study_fields(run.config, task, given)
    check_owner(run.directory, fields)
    bounds = stored_range_tests(run, task) if given is None else RangeTests(given, 0.0)
    if bounds is None:
        return None
    try:
        studies = open_studies(run, bounds.result, task.own, attributes=attributes_of(fields, given), creates=False)
    except NoSuchStudy:
        studies = None
    return Opened(task, fields, bounds, given, studies, is_unchanged(run.config, task))


def with_given(run: Run, *, must_exist: bool = False) -> tuple[Run, RangeTestResult | None]:
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
        return run, None
    return run if given is None else replace(run, config=config_within(run.config, given)), given


def begin(run: Run, prepared: Prepared, *, given: RangeTestResult | None = None, may_test: bool = True) -> Opened:
    """Take the folders for this study, test what is left of the ranges, and open the studies.

    Args:
        run: which holds the run directory, unless it joins another one.
        prepared: the task.
        given: bounds that take the place of range tests.
        may_test: whether ranges may be tested.

    Raises:
        ForeignRun: if the folders or the storage belong to another study.
        NoBounds: if there are none, and ranges may not be tested.
        NoUsableRange: if every optimizer's loss is not finite from the first step.
    """
    task = prepared.known_by
    fields = study_fields(run.config, task, given)
    check_owner(run.directory, fields)
    check_same(run, fields)
    if run.owns_folders:
        write_task(run.directory, task)
    bounds = RangeTests(given, 0.0) if given is not None else _tested(run, prepared, may_test=may_test)
    if run.owns_folders:
        own(run.directory, fields)
    attributes = attributes_of(fields, given)
    return Opened(task, fields, bounds, given, open_studies(run, bounds.result, task.own, attributes=attributes))


def _tested(run: Run, prepared: Prepared, *, may_test: bool) -> RangeTests:
    stored = stored_range_tests(run, prepared.known_by)
    if stored is not None:
        return stored
    if not may_test:
        raise NoBounds(
            f"A search must have bounds, but {run.directory.state} holds those of other range tests:\n"
            f"{why_not_stored(run, prepared.known_by)}\nRun `lrrt range` again, or give --bounds or --range."
        )
    return range_tests(run, prepared)
