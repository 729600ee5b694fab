"""Choose the values of a study's first trials: the user's own configs, and the best of an earlier study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.run import NAME, Run
from pipeline.task.first_configs import named
from studies import NoSuchStudy, SearchSpace, TrialResult, ranked, stored_attributes
from studies.dimension import Value
from studies.engines.observation import Values

NUM_WARM = 3  # of the best trials of an earlier study that are tried first
WARM = "warm_start"  # the attribute of a study with what it started from


@dataclass(frozen=True, slots=True)
class WarmStart:
    """An earlier study of the same model.

    Attributes:
        source: where it is stored, without a password.
        results: its trials; empty for a study that has begun, whose storage has them.
        best: the values of its best trials, the best first.
    """

    source: str
    results: tuple[TrialResult, ...]
    best: tuple[Values, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for the attributes of the study that starts from it."""
        return {"source": self.source, "num_trials": len(self.results), "best": [dict(values) for values in self.best]}


def warm_start_from(source: str, results: Sequence[TrialResult], max_gap: float | None) -> WarmStart:
    """Return a warm start from the trials of an earlier study."""
    best = [trial.config.parameters() for trial in ranked(results, max_gap=max_gap)]
    return WarmStart(source, tuple(results), tuple(best))


def stored_warm_start(run: Run) -> WarmStart | None:
    """Return what the run's study started from; None if it has not begun, or started from nothing."""
    try:
        stored = stored_attributes(run.storage, NAME).get(WARM)
    except NoSuchStudy:
        return None
    return None if stored is None else WarmStart(stored["source"], (), tuple(stored["best"]))


def first_values(run: Run, space: SearchSpace, warm: WarmStart | None) -> tuple[Values, ...]:
    """Return the values that are tried first: the user's, then those of the best of an earlier study.

    Values that do not lie in the space are left out, and a note says so.

    Args:
        run: the run, whose config has the user's.
        space: the space, inside the bounds from range tests.
        warm: the earlier study, if any.
    """
    values: list[Values] = []
    for number, table in enumerate(run.config.study.first, 1):
        place = f"[[study.first]] number {number}"
        completed = _with_optimizer(named(table, space, place), space)
        outside = _outside(completed, space)
        if outside:
            run.note_once(f"{place} is left out, since it does not lie in the space: {outside}")
        else:
            values.append(completed)
    inside = [one for one in (() if warm is None else warm.best) if not _outside(one, space)]
    return (*values, *inside[:NUM_WARM])


def _with_optimizer(values: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """Add the optimizer and the batch size of a rate whose name has them."""
    implied = {
        parent: allowed[0]
        for one in space.optimizers
        if one.rate_name in values
        for parent, allowed in one.dimension(space.schedules).conditions
        if len(allowed) == 1
    }
    return {**implied, **values}


def _outside(values: Values, space: SearchSpace) -> str:
    """Return a value that the space does not hold, with what it holds, as text; "" if it holds all of them."""
    dimensions = {dimension.name: dimension for dimension in space.dimensions()}
    for name, value in values.items():
        dimension = dimensions.get(name)
        if dimension is None:
            return f"{name} is not searched"
        if not dimension.holds(value):
            held = dimension.choices or f"{dimension.low:.3g} to {dimension.high:.3g}"
            return f"{name} = {value!r} is not in {held}"
    return ""
