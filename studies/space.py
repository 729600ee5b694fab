"""Knows the search space: which values trials may take, in one form for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from lrrt.bounds import Bounds
from studies.schedules import FAMILIES
from studies.trial import TrialConfig, Value


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

    `searches_warmup` adds the length of a warm-up to the schedules that can have one.

    Raises:
        ValueError: for a space without an optimizer, a schedule or a batch size, or with an unknown schedule.
    """

    optimizers: tuple[OptimizerRange, ...]
    schedules: tuple[str, ...] = ("fixed",)
    batch_sizes: tuple[int, ...] = (32,)
    searches_warmup: bool = False

    def __post_init__(self) -> None:
        for name in ("optimizers", "schedules", "batch_sizes"):
            if not getattr(self, name):
                raise ValueError(f"A search space must have at least one of `{name}`, got none.")
        unknown = [schedule for schedule in self.schedules if schedule not in FAMILIES]
        if unknown:
            raise ValueError(f"`schedules` must be of {', '.join(FAMILIES)}, got {', '.join(map(repr, unknown))}.")

    @classmethod
    def from_bounds(
        cls,
        bounds: Mapping[str, Bounds],
        *,
        schedules: Sequence[str] = ("fixed",),
        batch_sizes: Sequence[int] = (32,),
        fallback_range: tuple[float, float] | None = None,
    ) -> Self:
        """Narrow the rates of each optimizer to what its range test found.

        Args:
            bounds: by optimizer.
            schedules: names of schedule families.
            batch_sizes: samples a batch.
            fallback_range: (low, high), searched for an optimizer whose range test had no answer; such an optimizer is
                left out where this is None.
        """
        ranges = [_range_of(name, found, fallback_range) for name, found in bounds.items()]
        return cls(tuple(found for found in ranges if found), tuple(schedules), tuple(batch_sizes))

    def suggest(self, trial: Any) -> TrialConfig:
        """Ask an Optuna trial or a KerasTuner `hp` for one value of each parameter that is active.

        An optimizer's rate and a family's parameters are asked for only where that optimizer and family were chosen.
        """
        ask = _AskOptuna(trial) if hasattr(trial, "suggest_float") else _AskKerasTuner(trial)
        values: dict[str, Value] = {
            "optimizer": ask.choice("optimizer", [found.name for found in self.optimizers]),
            "schedule": ask.choice("schedule", self.schedules),
            "batch_size": ask.choice("batch_size", self.batch_sizes),
        }
        for found in self.optimizers:
            if found.name == values["optimizer"]:
                values[f"lr__{found.name}"] = ask.number(
                    f"lr__{found.name}", found.low, found.high, log=True, parent=("optimizer", found.name)
                )
        for parameter in FAMILIES[str(values["schedule"])].parameters:
            if parameter.name == "warmup" and not self.searches_warmup:
                continue
            name = f"{values['schedule']}__{parameter.name}"
            values[name] = ask.number(
                name,
                parameter.low,
                parameter.high,
                log=parameter.log,
                integer=parameter.integer,
                parent=("schedule", values["schedule"]),
            )
        return TrialConfig.from_parameters(values)

    def suggested_parameters(self) -> list[dict[str, Value]]:
        """Return, for each optimizer, what its range test suggests, for the first trials of a study."""
        return [
            {"optimizer": found.name, f"lr__{found.name}": found.suggested}
            for found in self.optimizers
            if found.suggested is not None
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the space as plain data, for space.json and fingerprints."""
        return asdict(self)


def _range_of(name: str, bounds: Bounds, fallback: tuple[float, float] | None) -> OptimizerRange | None:
    if bounds.low is not None and bounds.high is not None:
        return OptimizerRange(name, bounds.low, bounds.high, bounds.suggested)
    return None if fallback is None else OptimizerRange(name, *fallback, is_fallback=True)


class _AskOptuna:
    def __init__(self, trial: Any) -> None:
        self.trial = trial

    def choice(self, name: str, values: Sequence[Any]) -> Any:
        return self.trial.suggest_categorical(name, list(values))

    def number(
        self, name: str, low: float, high: float, *, log: bool, parent: tuple[str, Any], integer: bool = False
    ) -> float:
        if integer:
            return int(self.trial.suggest_int(name, int(low), int(high), log=log))
        return float(self.trial.suggest_float(name, low, high, log=log))


class _AskKerasTuner:
    def __init__(self, hp: Any) -> None:
        self.hp = hp

    def choice(self, name: str, values: Sequence[Any]) -> Any:
        return self.hp.Choice(name, list(values))

    def number(
        self, name: str, low: float, high: float, *, log: bool, parent: tuple[str, Any], integer: bool = False
    ) -> float:
        sampling = "log" if log else "linear"
        with self.hp.conditional_scope(parent[0], [parent[1]]):
            if integer:
                return int(self.hp.Int(name, int(low), int(high), sampling=sampling))
            return float(self.hp.Float(name, low, high, sampling=sampling))
