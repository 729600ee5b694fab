"""Knows the search space: which values trials may take, in one form for every engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from lrrt.bounds import Bounds
from lrrt.plain import from_plain, to_plain
from lrrt.range_result import Case, RangeTestResult
from studies.dimension import Dimension, Value
from studies.schedules.families import FAMILIES, did_you_mean
from studies.schedules.family import Parameter
from studies.schedules.schedule import check_all_fit
from studies.space.differences import check_same_space
from studies.space.optimizer_range import OptimizerRange, Range, ranges_within
from studies.space.suggesting import ask_keras_tuner, ask_optuna
from studies.trial import TrialConfig, is_reserved


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The values that trials may take. It is plain data; `suggest` gives it to an engine.

    `searches_warmup` adds the length of a warm-up to the schedules that can have one. `weight_decay` and `momentum`
    are searched where they have a range; the latter is `beta_1` of optimizers of Adam's kind. `own` are the
    hyperparameters of the user's model; see `own_dimensions`.

    A schedule's peak lies inside its optimizer's bounds; in a space of cyclical schedules alone it may reach the
    largest maximum of a cycle, and where others are searched too, all share the range of a constant rate. Under the
    highest peak, the base of a cyclical schedule reaches down to the lower bound.

    Raises:
        ValueError: for a space without an optimizer, a schedule or a batch size, with one twice, with an unknown
            schedule, with a range that is none, with ranges for some batch sizes only, or with an own hyperparameter
            whose name is taken.
    """

    optimizers: tuple[OptimizerRange, ...]
    schedules: tuple[str, ...] = ("fixed",)
    batch_sizes: tuple[int, ...] = (32,)
    searches_warmup: bool = False
    weight_decay: Range | None = None
    momentum: Range | None = None
    own: tuple[Dimension, ...] = ()

    def __post_init__(self) -> None:
        for name in ("optimizers", "schedules", "batch_sizes"):
            if not getattr(self, name):
                raise ValueError(f"A search space must have at least one of `{name}`, got none.")
        unknown = [schedule for schedule in self.schedules if schedule not in FAMILIES]
        if unknown:
            hint = did_you_mean(unknown[0], FAMILIES)
            raise ValueError(f"`schedules` must be of {', '.join(FAMILIES)}, got {unknown[0]!r}.{hint}")
        if any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in self.batch_sizes):
            raise ValueError(f"`batch_sizes` must be whole numbers >= 1, got {self.batch_sizes!r}.")
        self._check_ranges()
        if self.weight_decay and not 0 < self.weight_decay[0] < self.weight_decay[1]:
            raise ValueError(f"`0 < low < high` must hold for weight_decay, got {self.weight_decay!r}.")
        if self.momentum and not 0 < self.momentum[0] < self.momentum[1] < 1:
            raise ValueError(f"`0 < low < high < 1` must hold for momentum, got {self.momentum!r}.")
        taken = [dimension.name for dimension in self.own if is_reserved(dimension.name)]
        if taken:
            raise ValueError(f"A model's own hyperparameters must have other names than ours, got {taken[0]!r}.")

        names = [
            *self.schedules,
            *map(str, self.batch_sizes),
            *(found.label for found in self.optimizers),
            *(dimension.name for dimension in self.own),
        ]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"Each value and each name of a search space must be its own, got {twice[0]!r} twice.")

    @classmethod
    def from_bounds(
        cls,
        bounds: Mapping[str, Bounds],
        *,
        cases: Mapping[str, Case] | None = None,
        schedules: Sequence[str] = ("fixed",),
        batch_sizes: Sequence[int] = (32,),
        fallback_range: Range | None = None,
        searches_warmup: bool = False,
        weight_decay: Range | None = None,
        momentum: Range | None = None,
        own: Sequence[Dimension] = (),
    ) -> Self:
        """Narrow the rates of each optimizer to what its range test found.

        Args:
            bounds: by optimizer, or by label where `cases` tells what each is of; in the order in which what they
                suggest is tried.
            cases: of the range test's result. Bounds that were measured at several batch sizes are searched at the
                batch size that they are of, as `lr__<optimizer>__<batch size>`.
            schedules: names of schedule families.
            batch_sizes: samples a batch.
            fallback_range: (low, high), searched for an optimizer whose range test had no answer; such an optimizer is
                left out where this is None.
            searches_warmup: whether the length of a warm-up is searched.
            weight_decay: (low, high), searched on a logarithmic scale.
            momentum: (low, high).
            own: the hyperparameters of the user's model.

        Raises:
            ValueError: for bounds of several models, or without a batch size that is searched.
        """
        return cls(
            ranges_within(bounds, cases or {}, batch_sizes, fallback_range),
            tuple(schedules),
            tuple(batch_sizes),
            searches_warmup,
            weight_decay,
            momentum,
            tuple(own),
        )

    @classmethod
    def from_result(cls, result: RangeTestResult, **options: Any) -> Self:
        """Narrow the rates of each optimizer to what a range test found, at each batch size where it tested several.

        The suggestions of the optimizers that reached the lowest losses in the test are tried first.

        Args:
            result: of `lrrt.range_test`.
            **options: those of `from_bounds`.
        """
        bounds = {found.label: result.bounds[found.label] for found in result.standings()}
        return cls.from_bounds(bounds, cases=result.cases, **options)

    def dimensions(self) -> tuple[Dimension, ...]:
        """Return every dimension, each after those that its conditions name."""
        return (
            Dimension("optimizer", tuple(dict.fromkeys(found.name for found in self.optimizers))),
            Dimension("schedule", self.schedules),
            Dimension("batch_size", self.batch_sizes),
            *(found.dimension(self.schedules) for found in self.optimizers),
            *(dimension for name in self.schedules for dimension in self._family_dimensions(name)),
            *([Dimension("weight_decay", (), *self.weight_decay, log=True)] if self.weight_decay else []),
            *([Dimension("momentum", (), *self.momentum)] if self.momentum else []),
            *self.own,
        )

    def suggest(self, trial: Any) -> TrialConfig:
        """Ask an Optuna trial or a KerasTuner `hp` for one value of each dimension that is active.

        An optimizer's rate and a family's parameters are asked for only where that optimizer and family were chosen.
        """
        ask = ask_optuna if hasattr(trial, "suggest_float") else ask_keras_tuner
        return TrialConfig.from_parameters(ask(trial, self.dimensions()))

    def suggested_parameters(self) -> list[dict[str, Value]]:
        """Return, for each range of rates, what its range test suggests, for the first trials of a study."""
        return [
            {parent: values[0] for parent, values in found.dimension(self.schedules).conditions}
            | {found.rate_name: found.suggested}
            for found in self.optimizers
            if found.suggested is not None
        ]

    def range_of(self, config: TrialConfig) -> OptimizerRange | None:
        """Return the range that the rate of a trial was searched in; None where it is not of this space."""
        values = config.parameters()
        return next((found for found in self.optimizers if found.rate_name in values), None)

    def holds(self, config: TrialConfig) -> bool:
        """Say whether the values of a trial lie in this space: all that are active, and no others."""
        values = config.parameters()
        active = [dimension for dimension in self.dimensions() if dimension.is_active(values)]
        names = {dimension.name for dimension in active}
        return names == set(values) and all(dimension.holds(values[dimension.name]) for dimension in active)

    def check_num_steps(self, num_steps: int) -> None:
        """Refuse a training that is too short for some schedule that may be proposed.

        Args:
            num_steps: updates in a whole trial, at the largest batch size.

        Raises:
            ValueError: for fewer steps than its cycles, drops and warm-up need.
        """
        check_all_fit(self.schedules, num_steps, searches_warmup=self.searches_warmup)

    def fills(self, values: Mapping[str, Value]) -> bool:
        """Say whether values are given for all dimensions that are active with them."""
        return all(dimension.name in values for dimension in self.dimensions() if dimension.is_active(values))

    def as_dict(self) -> dict[str, Any]:
        """Return the space as plain data, for space.json and fingerprints."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """Read what `as_dict` became as JSON."""
        return from_plain(cls, kept)

    def check_kept(self, kept: Mapping[str, Any], where: str) -> None:
        """Refuse to go on with a study that was kept of another space.

        Args:
            kept: what `as_dict` of the study's space was.
            where: what the message calls the study.

        Raises:
            ForeignStudy: with what differs.
        """
        check_same_space(kept, self.as_dict(), where)

    def _check_ranges(self) -> None:
        sizes: dict[str, list[int | None]] = {}
        for found in self.optimizers:
            sizes.setdefault(found.name, []).append(found.batch_size)
        for name, of_it in sizes.items():
            if set(of_it) not in ({None}, set(self.batch_sizes)):
                raise ValueError(
                    f"`optimizers` must have one range of {name}, or one for each of batch_sizes={self.batch_sizes}, "
                    f"got batch_size={', '.join(map(str, of_it))}."
                )

    def _family_dimensions(self, schedule: str) -> list[Dimension]:
        return [
            Dimension(
                f"{schedule}__{parameter.name}",
                (),
                parameter.low,
                parameter.high,
                log=parameter.log,
                integer=parameter.integer,
                default=parameter.default,
                conditions=(("schedule", (schedule,)),),
            )
            for parameter in self._family_parameters(schedule)
        ]

    def _family_parameters(self, schedule: str) -> tuple[Parameter, ...]:
        """Return those that are searched; the fraction that is a cycle's base begins at `low` for the highest peak."""
        least_base = min(found.low / found.highest_peak(self.schedules) for found in self.optimizers)
        return FAMILIES[schedule].searched(searches_warmup=self.searches_warmup, least_base=least_base)
