"""Choose the learning rates to search for one optimizer: from its bounds, at every batch size or at one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrrt.bounds import Bounds
from lrrt.range_result import Case
from studies.dimension import Condition, Dimension
from studies.schedules.families import FAMILIES
from studies.trial_config import rate_name

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class OptimizerRange:
    """One optimizer, by `name`, and the learning rates that are searched for it; `suggested`, if given, is tried first.

    Constant rates lie between `low` and `high`. `is_fallback` says that no range test has found them. `batch_size` is
    set if each batch size has its own range; None means one range for all of them. `cyclical_high` is the largest
    maximum of a cyclical rate, if that is larger than `high`.

    Raises:
        ValueError: unless `0 < low < high < cyclical_high`.
    """

    name: str
    low: float
    high: float
    suggested: float | None = None
    is_fallback: bool = False
    batch_size: int | None = None
    cyclical_high: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise ValueError(f"`0 < low < high` must hold for {self.label}, got low={self.low!r}, high={self.high!r}.")
        if self.cyclical_high is not None and not self.high < self.cyclical_high < math.inf:
            raise ValueError(
                f"`high < cyclical_high` must hold for {self.label}, got high={self.high!r}, "
                f"cyclical_high={self.cyclical_high!r}. Leave it out if cyclical rates go no higher."
            )

    @property
    def label(self) -> str:
        """The optimizer, and the batch size if the range is for one, as a range test labels the case."""
        return self.name if self.batch_size is None else f"{self.name}, batch_size={self.batch_size}"

    @property
    def rate_name(self) -> str:
        """The rate's name in engines: `lr__<optimizer>`, or `lr__<optimizer>__<batch size>`."""
        return rate_name(self.name, self.batch_size)

    def highest_peak(self, schedules: Sequence[str]) -> float:
        """Return the upper end for the peak of such schedules: `cyclical_high` if all are cyclical, else `high`.

        A constant rate must be smaller than the maximum of a cyclical one (Smith 2018, arXiv:1803.09820, section 4.1).
        If both kinds are searched, they share one range: then a sampler learns from the trials of both.
        """
        # With confirmed bounds and four schedules on cancer_mlp (24 trials, 6 seeds), a separate range for cyclical
        # schedules, up to `cyclical_high`, gained half a percent of the scale: no more than a wider shared range.
        is_cyclical_only = all(FAMILIES[schedule].is_cyclical for schedule in schedules)
        return self.cyclical_high if is_cyclical_only and self.cyclical_high else self.high

    def dimension(self, schedules: Sequence[str]) -> Dimension:
        """Return the peak of such schedules as a dimension, active for this optimizer and for its batch size."""
        conditions: list[Condition] = [("optimizer", (self.name,))]
        if self.batch_size is not None:
            conditions.append(("batch_size", (self.batch_size,)))
        return Dimension(
            self.rate_name,
            (),
            self.low,
            self.highest_peak(schedules),
            log=True,
            default=self.suggested,
            conditions=tuple(conditions),
        )


def ranges_within(
    bounds: Mapping[str, Bounds], cases: Mapping[str, Case], batch_sizes: Sequence[int], fallback: Range | None
) -> tuple[OptimizerRange, ...]:
    """Return the ranges to search for each optimizer, inside its bounds.

    If an optimizer's bounds were measured at one batch size, it has one range for all. If they were measured at
    several, it has a range for each batch size that is searched; a single batch size needs only one range.

    Args:
        bounds: by label.
        cases: the case of each label; a label without a case is an optimizer's name.
        batch_sizes: the batch sizes that are searched.
        fallback: (low, high) for an optimizer without bounds; None leaves it out.

    Raises:
        ValueError: if the bounds of an optimizer are of several models, or lack a batch size.
    """
    measured: dict[str, dict[int, Bounds]] = {}
    for label, case_bounds in bounds.items():
        case = cases.get(label) or Case(label, label, 0)
        by_size = measured.setdefault(case.optimizer, {})
        if case.batch_size in by_size:
            raise ValueError(
                f"`bounds` must be of one model, got two of {case.optimizer} at batch_size={case.batch_size}. Take "
                "those of one model's hyperparameters."
            )
        by_size[case.batch_size] = case_bounds
    ranges: list[OptimizerRange] = []
    for name, by_size in measured.items():
        candidates = [_range_of(name, size, one, fallback) for size, one in _needed(name, by_size, batch_sizes)]
        ranges += [one for one in candidates if one] if all(candidates) else []
    return tuple(ranges)


def _needed(
    name: str, by_size: Mapping[int, Bounds], batch_sizes: Sequence[int]
) -> Sequence[tuple[int | None, Bounds]]:
    """Return the bounds for an optimizer's ranges, each with its batch size; None stands for all batch sizes."""
    if len(by_size) == 1:
        return [(None, bounds) for bounds in by_size.values()]
    absent = [size for size in batch_sizes if size not in by_size]
    if absent:
        raise ValueError(
            f"Bounds of {name} must be of each batch size searched, or of one that stands for all, got "
            f"{', '.join(map(str, by_size))} without {', '.join(map(str, absent))}. Test the ranges at "
            f"{', '.join(map(str, batch_sizes))}."
        )
    if len(batch_sizes) == 1:
        return [(None, by_size[batch_sizes[0]])]
    return [(size, by_size[size]) for size in batch_sizes]


def _range_of(name: str, batch_size: int | None, bounds: Bounds, fallback: Range | None) -> OptimizerRange | None:
    low, high, top = bounds.low, bounds.high, bounds.cyclical_high
    if low is not None and high is not None and top is not None:
        cyclical_high = top if top > high else None
        return OptimizerRange(name, low, high, bounds.suggested, batch_size=batch_size, cyclical_high=cyclical_high)
    return None if fallback is None else OptimizerRange(name, *fallback, is_fallback=True, batch_size=batch_size)
