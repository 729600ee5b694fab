"""Define the config of one trial: its values, and the names that they have in every engine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from lrrt.optimizers import as_optimizers, fresh_optimizer, optimizer_like
from studies.dimension import Value
from studies.schedules.families import FAMILIES, check_parameters
from studies.schedules.schedule import make_schedule, rate_table

if TYPE_CHECKING:
    import keras

RESERVED = ("optimizer", "schedule", "batch_size", "weight_decay", "momentum")


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """The values of one trial.

    `optimizer_name` is as range tests label it, `schedule` a name in `FAMILIES`, `batch_size` counts samples. `lr` is
    the peak of the schedule. `schedule_parameters` are the parameters of the schedule family by name, counts or
    fractions of the training's length or of the peak. If `weight_decay` or `momentum` is None, the optimizer's value
    stays. `own` are the hyperparameters of the user's model, by name. `lr_is_of_batch_size` says that the rate was
    searched in bounds for this batch size alone, which gives it another name; see `rate_name`.

    Raises:
        ValueError: for a rate or a batch size that is not positive, an unknown schedule, or a parameter that the
            schedule does not have or that is out of its domain.
    """

    optimizer_name: str
    schedule: str
    lr: float
    batch_size: int
    schedule_parameters: tuple[tuple[str, float], ...] = ()
    weight_decay: float | None = None
    momentum: float | None = None
    own: tuple[tuple[str, Value], ...] = ()
    lr_is_of_batch_size: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.lr < math.inf:
            raise ValueError(f"`lr` must be positive and finite, got {self.lr!r}.")
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` must be >= 1, got {self.batch_size!r}.")
        if self.schedule not in FAMILIES:
            raise ValueError(f"`schedule` must be one of {', '.join(FAMILIES)}, got {self.schedule!r}.")
        check_parameters(FAMILIES[self.schedule], dict(self.schedule_parameters))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Value]) -> Self:
        """Read the flat names that every engine uses: optimizer, schedule, lr__sgd, step__drop_factor, batch_size.

        Raises:
            KeyError: if the optimizer, its rate, the schedule or the batch size is missing.
            ValueError: as `TrialConfig` does, or for text that is no number.
        """
        optimizer, schedule = str(parameters["optimizer"]), str(parameters["schedule"])
        batch_size = int(parameters["batch_size"])
        is_of_batch_size = rate_name(optimizer, batch_size) in parameters
        prefix = f"{schedule}__"
        of_schedule = {
            name.removeprefix(prefix): float(value) for name, value in parameters.items() if name.startswith(prefix)
        }
        return cls(
            optimizer,
            schedule,
            float(parameters[rate_name(optimizer, batch_size if is_of_batch_size else None)]),
            batch_size,
            tuple(sorted(of_schedule.items())),
            _optional(parameters, "weight_decay"),
            _optional(parameters, "momentum"),
            tuple(sorted((name, value) for name, value in parameters.items() if not is_reserved(name))),
            is_of_batch_size,
        )

    def parameters(self) -> dict[str, Value]:
        """Return the values under the flat names that every engine uses, as `from_parameters` reads them."""
        of_schedule = self.schedule_parameters
        of_optimizer = {"weight_decay": self.weight_decay, "momentum": self.momentum}
        return {
            "optimizer": self.optimizer_name,
            "schedule": self.schedule,
            rate_name(self.optimizer_name, self.batch_size if self.lr_is_of_batch_size else None): self.lr,
            **{f"{self.schedule}__{name}": _as_declared(self.schedule, name, value) for name, value in of_schedule},
            "batch_size": self.batch_size,
            **{name: value for name, value in of_optimizer.items() if value is not None},
            **dict(self.own),
        }

    def learning_rate(self, num_steps: int) -> Any:
        """Make the Keras `LearningRateSchedule` of this trial over so many updates."""
        return make_schedule(self.schedule, self.lr, num_steps, **dict(self.schedule_parameters))

    def learning_rates(self, num_steps: int) -> NDArray[np.float32]:
        """Return the rate of each update, shape `(num_steps,)`."""
        return rate_table(self.learning_rate(num_steps), num_steps, is_of_family=True)

    def optimizer(self, *, num_steps: int) -> keras.Optimizer:
        """Make a Keras optimizer with this trial's schedule over so many updates, ready for `model.compile`.

        Its momentum stays constant, since Keras schedules only rates; `studies.Trainer` moves it with `one_cycle`.
        """
        pattern = as_optimizers([self.optimizer_name])[self.optimizer_name]
        return fresh_optimizer(self.with_own_values(pattern), self.learning_rate(num_steps))

    def with_own_values(self, pattern: keras.Optimizer) -> keras.Optimizer:
        """Return an optimizer like the pattern, with this trial's weight decay and momentum, if it has them."""
        changes = {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        if self.momentum is not None:
            changes[momentum_name(pattern)] = self.momentum
        return optimizer_like(pattern, **changes)


def rate_name(optimizer: str, batch_size: int | None = None) -> str:
    """Return the name of an optimizer's rate in every engine; it has the batch size if the bounds are for that alone.

    >>> rate_name("sgd"), rate_name("sgd", 32)
    ('lr__sgd', 'lr__sgd__32')
    """
    return f"lr__{optimizer}" if batch_size is None else f"lr__{optimizer}__{batch_size}"


def is_rate_name(name: str) -> bool:
    """Say whether a flat parameter name is that of an optimizer's rate."""
    return name.startswith("lr__")


def is_reserved(name: str) -> bool:
    """Say whether a flat parameter name is one of ours, which a user's model must not use."""
    return name in RESERVED or is_rate_name(name) or name.startswith(tuple(f"{family}__" for family in FAMILIES))


def momentum_name(optimizer: keras.Optimizer) -> str:
    """Return the name of an optimizer's momentum.

    Raises:
        ValueError: for an optimizer without one.
    """
    for name in ("momentum", "beta_1"):
        if hasattr(optimizer, name):
            return name
    raise ValueError(f"`momentum` must be searched for optimizers that have one, got {type(optimizer).__name__}.")


def _as_declared(schedule: str, name: str, value: float) -> float:
    """Return a count as a whole number."""
    is_count = any(parameter.name == name and parameter.integer for parameter in FAMILIES[schedule].parameters)
    return int(value) if is_count else value


def _optional(parameters: Mapping[str, Value], name: str) -> float | None:
    return float(parameters[name]) if name in parameters else None
