"""Open the studies of a stage: the first, and those that went on in wider bounds when the best rate lay at an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lrrt import RangeTestResult
from pipeline.failures import ForeignRun
from pipeline.run import NAME, Run
from pipeline.state.ownership import OTHER_VERSION, differences, have_other_keys
from pipeline.steps.arms import has_arms
from pipeline.steps.narrowing import space_of
from pipeline.steps.proposals.engine import engine_of
from pipeline.steps.proposals.first_trials import WARM, WarmStart, first_values, stored_warm_start
from pipeline.steps.widening import MAX_WIDENINGS, Studies, Widening
from pipeline.task.fingerprints import Fields
from pipeline.task.untested_space import untested_space
from studies import Dimension, NoSuchStudy, SearchSpace, Study, TrialResult, stored_attributes, widen
from studies.engines.arms_engine import RangesOf
from studies.engines.observation import Engine
from studies.objective import Objectives
from studies.storage.urls import address

FINGERPRINT = "fingerprint"  # the attribute of a study with what defines it
GIVEN = "given_bounds"  # ... with the bounds that took the place of range tests
MADE_WITH = "Give this run the config that the study was made with, or a storage and folders of its own."
WIDENED = "widened"  # ... of a study in wider bounds: at which trial it was widened


def open_studies(
    run: Run,
    bounds: RangeTestResult,
    own: tuple[Dimension, ...],
    *,
    objectives: Objectives | None = None,
    attributes: dict[str, Any] | None = None,
    creates: bool = True,
    warm: WarmStart | None = None,
    ranges_of: RangesOf | None = None,
) -> Studies:
    """Open the study inside the bounds, and those in wider ones that were begun.

    Args:
        run: whose.
        bounds: that range tests found, or that were given.
        own: the hyperparameters of the user's model.
        objectives: of a new study; None for those of the stored one.
        attributes: stored in a new study; see `attributes_of`.
        creates: whether a study that is not there is made.
        warm: earlier results, from which a new study starts.
        ranges_of: finds an optimizer's bounds when a study with arms turns to it; None if it trains nothing.

    Raises:
        NoSuchStudy: if there is none, and none must be made.
        ForeignStudy: if the stored study has another space.
        ForeignRun: if it is defined otherwise.
    """
    space = untested_space(run.config, own) if has_arms(run.config) else space_of(run.config, bounds, own)
    warm = stored_warm_start(run) or warm
    engine = engine_of(run.config.study, space, first_values(run, space, warm), ranges_of)
    attributes_of_first = attributes if attributes is None or warm is None else {**attributes, WARM: warm.as_dict()}
    study = _open(
        run,
        space,
        engine,
        NAME,
        objectives=objectives,
        attributes=attributes_of_first,
        creates=creates,
        known=() if warm is None else warm.results,
    )
    studies = Studies((study,))
    while len(studies.widenings) < MAX_WIDENINGS:
        try:
            stored = stored_attributes(run.storage, name_of(len(studies.all)))
        except NoSuchStudy:
            break
        widening = Widening(**stored[WIDENED])
        studies = widened(run, studies, widening, attributes=attributes, creates=creates)
    return studies


def widened(
    run: Run, studies: Studies, widening: Widening, *, attributes: dict[str, Any] | None, creates: bool = True
) -> Studies:
    """Open the study that goes on in wider bounds, or make it.

    All processes of a run come to the same widening, since they have the same results.
    """
    results = studies.results()[: widening.num_ended]
    space = widen(studies.space, next(result for result in results if result.number == widening.trial))
    place = {WIDENED: {"trial": widening.trial, "num_ended": widening.num_ended}}
    study = _open(
        run,
        space,
        engine_of(run.config.study, space, (), None),
        name_of(len(studies.all)),
        objectives=studies.last.objectives,
        known=results,
        first_number=results[-1].number + 1,
        attributes=None if attributes is None else {**attributes, **place},
        creates=creates,
    )
    return replace(studies, all=(*studies.all, study), widenings=(*studies.widenings, widening))


def attributes_of(fields: Fields, given: RangeTestResult | None) -> dict[str, Any]:
    """Return what is stored in a study besides its space: what defines it, and bounds that were given."""
    return {FINGERPRINT: fields, GIVEN: None if given is None else given.to_dict()}


def given_bounds(run: Run) -> RangeTestResult | None:
    """Return the bounds that the stored study was given in place of range tests; None if it has none.

    Raises:
        NoSuchStudy: if there is no study.
    """
    stored = stored_attributes(run.storage, NAME).get(GIVEN)
    return None if stored is None else RangeTestResult.from_dict(stored)


def check_same(run: Run, fields: Fields) -> None:
    """Refuse a config that is another than that of the stored study, if there is one.

    Raises:
        ForeignRun: with what differs.
    """
    try:
        stored = stored_attributes(run.storage, NAME).get(FINGERPRINT, fields)
    except NoSuchStudy:
        return
    _check(stored, fields, run)


def _check(stored: Fields, fields: Fields, run: Run) -> None:
    lines = differences(stored, fields)
    if lines:
        raise ForeignRun(
            "\n".join([f"The study in {address(run.storage)} is defined otherwise than this config:", *lines])
            + f"\n{OTHER_VERSION if have_other_keys(lines) else MADE_WITH}"
        )


def _open(
    run: Run,
    space: SearchSpace,
    engine: Engine,
    name: str,
    *,
    objectives: Objectives | None,
    attributes: dict[str, Any] | None,
    creates: bool,
    known: Sequence[TrialResult] = (),
    first_number: int = 0,
) -> Study:
    options = run.config.study
    study = Study(
        space,
        engine,
        storage=run.storage,
        name=name,
        objective=objectives,
        prunes=options.prunes,
        max_gap=options.max_gap,
        limits=options.limits,
        first_number=first_number,
        known=known,
        attributes=attributes,
        creates=creates,
        worker=run.worker,
        grace_s=options.grace_s,
    )
    if attributes is not None:
        _check(study.attributes().get(FINGERPRINT, attributes[FINGERPRINT]), attributes[FINGERPRINT], run)
    return study


def name_of(number: int) -> str:
    """Return the name of a study in wider bounds; they count from 1."""
    return f"{NAME}-widened-{number}"
