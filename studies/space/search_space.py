"""Define the search space: the values that trials may take, in one form for every engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from lrrt.bounds import Bounds
from lrrt.plain import from_plain, to_plain
from lrrt.range_result import Case, RangeTestResult
from lrrt.words import did_you_mean
from studies.dimension import Dimension, Value
from studies.schedules.families import FAMILIES
from studies.schedules.family import Parameter
from studies.schedules.schedule import check_all_fit
from studies.space.optimizer_range import OptimizerRange, Range, ranges_within
from studies.space.suggesting import ask_keras_tuner, ask_optuna
from studies.trial_config import TrialConfig, is_reserved


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The values that trials may take. It is plain data; `suggest` gives it to an engine.

    A trial has one of `optimizers` with its rate, one of `schedules` by name, and one of `batch_sizes` in samples.
    `searches_warmup` adds the length of a warm-up to the schedules that can have one. `weight_decay` and `momentum`
    are searched if they have a range; for optimizers of Adam's kind, the momentum is `beta_1`. `own` are the
    hyperparameters of the user's model; see `own_dimensions`.

    A schedule's peak lies inside its optimizer's bounds. If all schedules are cyclical, the peak may reach the largest
    maximum of a cycle; otherwise all schedules share the range of a constant rate. The base of a cyclical schedule
    reaches down to the lower bound under the highest peak.

    Raises:
        ValueError: for a space without an optimizer, a schedule or a batch size, with a value twice, with an unknown
            schedule, with an invalid range, with ranges for only some batch sizes, or with a hyperparameter of the
            model whose name is taken.
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

        labels, names = [one.label for one in self.optimizers], [dimension.name for dimension in self.own]
        kinds = (self.schedules, self.batch_sizes, labels, names)  # a user's name may be that of a schedule
        twice = [value for values in kinds for value, count in Counter(values).items() if count > 1]
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
        """Narrow the rates of each optimizer to the bounds from its range test.

        Args:
            bounds: by optimizer, or by label if `cases` has the case of each; their suggestions are tried in this
                order.
            cases: of the range test's result. Bounds that were measured at several batch sizes are searched each at
                its batch size, as `lr__<optimizer>__<batch size>`.
            schedules: names of schedule families.
            batch_sizes: samples per batch.
            fallback_range: (low, high) for an optimizer whose range test had no answer; None leaves such an optimizer
                out.
            searches_warmup: whether the length of a warm-up is searched.
            weight_decay: (low, high), searched on a logarithmic scale.
            momentum: (low, high).
            own: the hyperparameters of the user's model.

        Raises:
            TypeError: for what is not bounds by label, or one name or number in place of several.
            ValueError: for bounds of several models, or without a batch size that is searched.
        """
        if not isinstance(bounds, Mapping) or not all(isinstance(one, Bounds) for one in bounds.values()):
            raise TypeError(
                "`bounds` must be lrrt.Bounds by the label of their optimizer, such as result.bounds, got "
                f"{bounds!r:.80}."
            )
        for name, several in (("schedules", schedules), ("batch_sizes", batch_sizes)):
            if isinstance(several, str | int):
                raise TypeError(f"`{name}` must be several, such as [{several!r}], got {several!r}.")
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
        """Narrow the rates of each optimizer to the bounds from a range test, at each batch size of the test.

        The suggestions of the optimizers that reached the lowest losses in the test are tried first.

        Args:
            result: the result of `lrrt.range_test`, for trainings as long as the trials will be; if they will be longer
                or shorter, `result.for_training(num_steps)`.
            **options: the other arguments of `from_bounds`.
        """
        bounds = {standing.label: result.bounds[standing.label] for standing in result.standings()}
        return cls.from_bounds(bounds, cases=result.cases, **options)

    def dimensions(self) -> tuple[Dimension, ...]:
        """Return every dimension, each after the dimensions in its conditions."""
        return (
            Dimension("optimizer", tuple(dict.fromkeys(one.name for one in self.optimizers))),
            Dimension("schedule", self.schedules),
            Dimension("batch_size", self.batch_sizes),
            *(one.dimension(self.schedules) for one in self.optimizers),
            *(dimension for name in self.schedules for dimension in self._family_dimensions(name)),
            *([Dimension("weight_decay", (), *self.weight_decay, log=True)] if self.weight_decay else []),
            *([Dimension("momentum", (), *self.momentum)] if self.momentum else []),
            *self.own,
        )

    def suggest(self, trial: Any) -> TrialConfig:
        """Ask an Optuna trial or a KerasTuner `hp` for one value of each dimension that is active.

        An optimizer's rate and a family's parameters are asked for only if that optimizer and family were chosen.
        """
        ask = ask_optuna if hasattr(trial, "suggest_float") else ask_keras_tuner
        return TrialConfig.from_parameters(ask(trial, self.dimensions()))

    def suggested_parameters(self) -> list[dict[str, Value]]:
        """Return the suggested rate of each range of rates, with its conditions, for the first trials of a study."""
        return [
            {parent: values[0] for parent, values in one.dimension(self.schedules).conditions}
            | {one.rate_name: one.suggested}
            for one in self.optimizers
            if one.suggested is not None
        ]

    def range_of(self, config: TrialConfig) -> OptimizerRange | None:
        """Return the range in which the rate of a trial was searched; None if the rate is not of this space."""
        values = config.parameters()
        return next((one for one in self.optimizers if one.rate_name in values), None)

    def holds(self, config: TrialConfig) -> bool:
        """Say whether a trial has a value of this space for each active dimension, and no other value.

        A hyperparameter of the model may be absent, since a build may show that it does not exist.
        """
        values = config.parameters()
        active = {dimension.name: dimension for dimension in self.dimensions() if dimension.is_active(values)}
        absent = active.keys() - values.keys() - {dimension.name for dimension in self.own}
        return (
            not absent and values.keys() <= active.keys() and all(active[name].holds(values[name]) for name in values)
        )

    def check_num_steps(self, num_steps: int) -> None:
        """Refuse a training that is too short for a schedule that may be proposed.

        Args:
            num_steps: updates in a whole trial at the largest batch size.

        Raises:
            ValueError: for fewer steps than the cycles, drops and warm-up need.
        """
        check_all_fit(self.schedules, num_steps, searches_warmup=self.searches_warmup)

    def as_dict(self) -> dict[str, Any]:
        """Return the space as plain data, for space.json and fingerprints."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Make the space again from the JSON of `as_dict`."""
        return from_plain(cls, fields)

    def _check_ranges(self) -> None:
        sizes_by_name: dict[str, list[int | None]] = {}
        for one in self.optimizers:
            sizes_by_name.setdefault(one.name, []).append(one.batch_size)
        for name, sizes in sizes_by_name.items():
            if set(sizes) not in ({None}, set(self.batch_sizes)):
                raise ValueError(
                    f"`optimizers` must have one range of {name}, or one for each of batch_sizes={self.batch_sizes}, "
                    f"got batch_size={', '.join(map(str, sizes))}."
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
        """Return the searched parameters of a family; the base of a cycle begins at `low` under the highest peak."""
        least_base = min(one.low / one.highest_peak(self.schedules) for one in self.optimizers)
        return FAMILIES[schedule].searched(searches_warmup=self.searches_warmup, least_base=least_base)
