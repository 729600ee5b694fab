"""Test the range of an optimizer when the study turns to it, and show what such a study searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lrrt import RangeTestResult, Verdict
from lrrt.words import rate_text, score_text
from pipeline.config.tables import StageConfig
from pipeline.failures import NoUsableRange
from pipeline.run import Run
from pipeline.steps.narrowing import reasons, space_of
from pipeline.steps.range_tests import (
    RangeTests,
    hear_of_range_tests,
    range_tests,
    range_tests_so_far,
    with_optimizers,
)
from studies import AtEdge, OptimizerRange, SearchSpace, Study, TrialResult, at_edge
from studies.engines.arms import ARMS, in_order, left_arms, turns_of
from studies.engines.arms_engine import OPTIMIZER, RangesOf, tried_of

if TYPE_CHECKING:
    from pipeline.task.preparation import Prepared


def has_arms(config: StageConfig) -> bool:
    """Say whether the study turns to its optimizers one by one."""
    return bool(config.study.sampler == ARMS)


def planned_optimizers(config: StageConfig) -> tuple[str, ...]:
    """Return the optimizers whose ranges are tested, at most, in that order."""
    optimizers = config.range_test.optimizers
    if not has_arms(config):
        return optimizers
    order = in_order(optimizers)
    return order if config.study.first else turns_of(order, config.study.num_trials)


def first_usable(run: Run, prepared: Prepared) -> RangeTests:
    """Test the optimizers in the study's order up to the first whose losses are finite; return all that are tested.

    Raises:
        NoUsableRange: if every optimizer's loss is not finite from the first step.
    """
    for optimizer in in_order(run.config.range_test.optimizers):
        bounds_by_label = tests_of(run, prepared, optimizer).bounds
        if any(bounds.verdict is not Verdict.NON_FINITE for bounds in bounds_by_label.values()):
            break
    tested = range_tests_so_far(run, prepared.known_by)
    assert tested is not None, "one was run just now, or before"
    if all(bounds.verdict is Verdict.NON_FINITE for bounds in tested.result.bounds.values()):
        raise NoUsableRange(reasons(tested.result))
    return tested


def tests_of(run: Run, prepared: Prepared, optimizer: str) -> RangeTestResult:
    """Return the range test of one optimizer: it is read, run, or waited for if another process runs it."""
    if run.given is not None:
        return run.given
    return range_tests(replace(run, config=with_optimizers(run.config, (optimizer,))), prepared).result


def ranges_on_demand(run: Run, prepared: Prepared) -> RangesOf:
    """Return what finds an optimizer's bounds for the engine."""

    def ranges_of(optimizer: str) -> Sequence[OptimizerRange]:
        narrow = space_of(run.config, tests_of(run, prepared, optimizer), ()).optimizers
        ranges = [one for one in narrow if one.name == optimizer]
        if any(one.is_fallback for one in ranges):
            low, high = run.config.study.fallback_range
            run.note_once(f"{optimizer}: no bounds, so the study begins in the fallback range {low:g} to {high:g}")
        return ranges

    return ranges_of


def hearing(run: Run, prepared: Prepared) -> Callable[[], None]:
    """Return what says which range tests other processes have run while the study turns to its optimizers."""
    if run.given is not None or not has_arms(run.config):
        return lambda: None
    return partial(hear_of_range_tests, run, prepared.known_by)


def shown_space(run: Run, bounds: RangeTestResult, study: Study) -> SearchSpace:
    """Return the space for reports and other tools: narrowed to the bounds, also if the study may leave them."""
    return space_of(run.config, bounds, study.space.own) if has_arms(run.config) else study.space


def edge_of(config: StageConfig, best: TrialResult, space: SearchSpace) -> AtEdge | None:
    """Return the edge of its bounds at which the best rate lies; None if the study could go beyond."""
    return None if has_arms(config) else at_edge(best, space)


def about_arms(config: StageConfig, study: Study, best: TrialResult, space: SearchSpace) -> Iterator[str]:
    """Say to which optimizers a study did not turn, which it left, when and why, and if it went beyond the bounds.

    Args:
        config: of the stage.
        study: that has ended.
        best: its best trial.
        space: narrowed to the bounds, see `shown_space`.
    """
    if not has_arms(config):
        return
    seen = study.observations()
    tried = tried_of(seen)
    arms = {one.arm for one in tried}
    never = [name for name in in_order(config.range_test.optimizers) if name not in arms]
    if never and arms:
        yield f"in {len(tried)} trials the study did not turn to {', '.join(never)}, so their ranges are not tested"
    for left in left_arms(tried):
        last = max(one.number for one in seen if one.values[OPTIMIZER] == left.arm)
        of_left, typical = (score_text(study.objective.score(cost)) for cost in (left.best, left.median_of_leader))
        yield (
            f"{left.arm} gets no more trials after trial {last}: its best, {of_left}, is no better than the median of "
            f"{left.leader}, {typical}"
        )
    searched, rate = space.range_of(best.config), best.config.lr
    if searched is not None and not searched.low <= rate <= (high := searched.highest_peak(space.schedules)):
        side = "above" if rate > high else "below"
        yield (
            f"the best rate, {rate_text(rate)}, lies {side} the bounds of {searched.label}, {rate_text(searched.low)} "
            f"to {rate_text(high)}: the best trial is there, since bounds are no limits"
        )
