"""Knows the search space: which values trials may take, in one form for every engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from lrrt.bounds import Bounds
from studies.asking import ask_keras_tuner, ask_optuna
from studies.dimension import Dimension, Value
from studies.families import FAMILIES
from studies.trial import TrialConfig, is_reserved

Range = tuple[float, float]


class ForeignStudy(ValueError):
    """A study that was kept belongs to another search space."""


@dataclass(frozen=True, slots=True)
class OptimizerRange:
    """One optimizer and the learning rates that are searched for it; `suggested` is tried first where there is one.

    Raises:
        ValueError: unless `0 < low < high`.
    """

    name: str
    low: float
    high: float
    suggested: float | None = None
    is_fallback: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"`0 < low < high` must hold for {self.name}, got low={self.low!r}, high={self.high!r}.")


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The values that trials may take. It is plain data; `suggest` gives it to an engine.

    `searches_warmup` adds the length of a warm-up to the schedules that can have one. `weight_decay` and `momentum`
    are searched where they have a range; the latter is `beta_1` of optimizers of Adam's kind. `own` are the
    hyperparameters of the user's model; see `own_dimensions`.

    Raises:
        ValueError: for a space without an optimizer, a schedule or a batch size, with an unknown schedule, with a
            range that is none, or with an own hyperparameter whose name is taken.
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
            raise ValueError(f"`schedules` must be of {', '.join(FAMILIES)}, got {', '.join(map(repr, unknown))}.")
        if self.weight_decay and not 0 < self.weight_decay[0] < self.weight_decay[1]:
            raise ValueError(f"`0 < low < high` must hold for weight_decay, got {self.weight_decay!r}.")
        if self.momentum and not 0 < self.momentum[0] < self.momentum[1] < 1:
            raise ValueError(f"`0 < low < high < 1` must hold for momentum, got {self.momentum!r}.")
        taken = [dimension.name for dimension in self.own if is_reserved(dimension.name)]
        if taken:
            raise ValueError(f"A model's own hyperparameters must have other names than ours, got {taken[0]!r}.")

    @classmethod
    def from_bounds(
        cls,
        bounds: Mapping[str, Bounds],
        *,
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
            bounds: by optimizer.
            schedules: names of schedule families.
            batch_sizes: samples a batch.
            fallback_range: (low, high), searched for an optimizer whose range test had no answer; such an optimizer is
                left out where this is None.
            searches_warmup: whether the length of a warm-up is searched.
            weight_decay: (low, high), searched on a logarithmic scale.
            momentum: (low, high).
            own: the hyperparameters of the user's model.
        """
        ranges = [_range_of(name, found, fallback_range) for name, found in bounds.items()]
        return cls(
            tuple(found for found in ranges if found),
            tuple(schedules),
            tuple(batch_sizes),
            searches_warmup,
            weight_decay,
            momentum,
            tuple(own),
        )

    def dimensions(self) -> tuple[Dimension, ...]:
        """Return every dimension, each after those that its conditions name."""
        return (
            Dimension("optimizer", tuple(found.name for found in self.optimizers)),
            Dimension("schedule", self.schedules),
            Dimension("batch_size", self.batch_sizes),
            *(_rate_dimension(found) for found in self.optimizers),
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
        """Return, for each optimizer, what its range test suggests, for the first trials of a study."""
        return [
            {"optimizer": found.name, f"lr__{found.name}": found.suggested}
            for found in self.optimizers
            if found.suggested is not None
        ]

    def holds(self, config: TrialConfig) -> bool:
        """Say whether the values of a trial lie in this space: all that are active, and no others."""
        values = config.parameters()
        active = [dimension for dimension in self.dimensions() if dimension.is_active(values)]
        names = {dimension.name for dimension in active}
        return names == set(values) and all(dimension.holds(values[dimension.name]) for dimension in active)

    def as_dict(self) -> dict[str, Any]:
        """Return the space as plain data, for space.json and fingerprints."""
        return asdict(self)

    def check_kept(self, kept: Mapping[str, Any], where: str) -> None:
        """Refuse to go on with a study that was kept of another space.

        Args:
            kept: what `as_dict` of the study's space was.
            where: what the message calls the study.

        Raises:
            ForeignStudy: with what differs.
        """
        own = json.loads(json.dumps(self.as_dict()))
        differing = [name for name in own if json.loads(json.dumps(kept.get(name))) != own[name] and name in kept]
        if differing:
            shown = "; ".join(f"{name} was {kept[name]!r}, now {own[name]!r}" for name in differing)
            raise ForeignStudy(f"{where} must be of this search space, but {shown}. Take another name or folder.")

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
            for parameter in FAMILIES[schedule].parameters
            if parameter.name != "warmup" or self.searches_warmup
        ]


def _rate_dimension(found: OptimizerRange) -> Dimension:
    return Dimension(
        f"lr__{found.name}",
        (),
        found.low,
        found.high,
        log=True,
        default=found.suggested,
        conditions=(("optimizer", (found.name,)),),
    )


def _range_of(name: str, bounds: Bounds, fallback: Range | None) -> OptimizerRange | None:
    if bounds.low is not None and bounds.high is not None:
        return OptimizerRange(name, bounds.low, bounds.high, bounds.suggested)
    return None if fallback is None else OptimizerRange(name, *fallback, is_fallback=True)
