"""Knows how a run begins, and how far an earlier one came: its folders claimed, its ranges tested, its study open."""

from __future__ import annotations

from dataclasses import dataclass

from lrrt import RangeTestResult
from pipeline.config.tables import StageConfig
from pipeline.console.events import Tell
from pipeline.console.stopping import Stopper
from pipeline.state.ownership import check_claim, claim
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import keep_task, kept_task
from pipeline.steps.range_tests import keep_given, range_tests, reusable
from pipeline.steps.widening import Studies, open_studies
from pipeline.task.fingerprints import Fields, TaskPrint, is_unchanged, study_fields
from pipeline.task.preparation import Prepared


@dataclass(frozen=True, slots=True)
class Begun:
    """A run as far as it came.

    Attributes:
        task: what is trained.
        fields: what defines the study.
        tested: the bounds.
        studies: None where there is none yet.
        is_unchanged: whether the task need not be loaded to know that it is the same.
    """

    task: TaskPrint
    fields: Fields
    tested: RangeTestResult
    studies: Studies | None
    is_unchanged: bool = False

    def reopen(self, config: StageConfig, directory: RunDirectory) -> Studies:
        """Open the studies again, with what was added to them."""
        return open_studies(config, directory, self.tested, self.task.own, self.fields)


def earlier_run(config: StageConfig, directory: RunDirectory, given: RangeTestResult | None = None) -> Begun | None:
    """Return how far an earlier run came, without loading the task; None where it has no bounds for this one.

    Raises:
        ForeignRun: where the folders belong to another study.
    """
    task = kept_task(directory)
    if task is None:
        return None
    fields = study_fields(config, task, given)
    check_claim(directory, fields)
    tested = reusable(config, directory, task, given)
    if tested is None:
        return None
    has_study = directory.fingerprint.exists()
    studies = open_studies(config, directory, tested, task.own, fields) if has_study else None
    return Begun(task, fields, tested, studies, is_unchanged(config, task))


def begin(
    config: StageConfig,
    directory: RunDirectory,
    prepared: Prepared,
    *,
    tell: Tell,
    stopper: Stopper,
    given: RangeTestResult | None = None,
    may_test: bool = True,
) -> Begun:
    """Test what is left of the ranges, keep the folders for this study, and open it.

    Args:
        config: what is searched.
        directory: the caller holds its lock.
        prepared: the task.
        tell: told what happens.
        stopper: may stop it before its end.
        given: bounds that take the place of range tests.
        may_test: whether ranges may be tested.

    Raises:
        ForeignRun: where the folders belong to another study.
        NoBounds: where there are none, and ranges may not be tested.
        NoUsableRange: where every optimizer's loss is not finite from the first step.
    """
    task = prepared.known_by
    fields = study_fields(config, task, given)
    check_claim(directory, fields)
    keep_task(directory, task)
    if given is None:
        tested = range_tests(config, directory, prepared, tell=tell, stopper=stopper, may_run=may_test)
    else:
        tested = keep_given(directory, given)
    claim(directory, fields)
    return Begun(task, fields, tested, open_studies(config, directory, tested, task.own, fields))
