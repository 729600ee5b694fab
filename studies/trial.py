"""Define one trial: its values, how it ended, and its losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PositiveInt,
    WithJsonSchema,
    computed_field,
)

from lrrt.optimizers import as_optimizers, fresh_optimizer, optimizer_like
from lrrt.plain import Losses, Named, from_plain, or_none, to_plain
from studies.dimension import Value
from studies.objective import OF_TRIALS, VAL_LOSS, Objective
from studies.overfitting import LossCurves
from studies.schedules.families import FAMILIES, check_parameters
from studies.schedules.schedule import make_schedule, rate_table

if TYPE_CHECKING:
    import keras

RESERVED = ("optimizer", "schedule", "batch_size", "weight_decay", "momentum")


class TrialState(Named):
    """How a trial ended; the value is the sentence shown."""

    COMPLETED = "trained until its last epoch, or until it stopped improving"
    PRUNED = "cut, because it was worse than others of its schedule at the same phase"
    DIVERGED = "stopped, because a loss was not finite"
    TIMED_OUT = "ended, because its time was used up"
    INFEASIBLE = "not trained, because its model has too many parameters"
    FAILED = "raised an error"


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """The values of one trial.

    `lr` is the peak of the schedule. `schedule_parameters` are the parameters of the schedule family by name, counts or
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
        return rate_table(self.learning_rate(num_steps), num_steps)

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


ALWAYS_THERE = {"optimizer": "string", "schedule": "string", "batch_size": "integer"}
PARAMETERS_SCHEMA = WithJsonSchema(
    {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in ALWAYS_THERE.items()},
        "required": [*ALWAYS_THERE],
    }
)
WrittenConfig = Annotated[
    TrialConfig,
    Field(alias="parameters"),
    BeforeValidator(TrialConfig.from_parameters),
    PlainSerializer(TrialConfig.parameters, return_type=Annotated[dict[str, Value], PARAMETERS_SCHEMA]),
]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended, and its losses; epochs count from 1.

    `score` is the best value of the objective; None if no epoch had a finite one. `best_epoch` is the epoch with that
    value. `planned_epochs` is the number of epochs if nothing ends the trial early; 0 if it was not recorded. `metrics`
    are the values of each epoch besides the losses, by the key in Keras's logs: "accuracy", "val_accuracy". If the
    trial was trained on folds, `fold_scores` are its scores on them, whose mean is its score.
    """

    number: NonNegativeInt
    config: WrittenConfig
    state: TrialState
    train_losses: Losses = ()
    val_losses: Losses = ()
    num_steps: NonNegativeInt = 0
    seconds: float = 0.0
    error: str = ""
    planned_epochs: NonNegativeInt = 0  # absent in files of version 0.1.0, as what follows
    objective: Objective = VAL_LOSS
    metrics: Mapping[str, Losses] = field(default_factory=dict)
    fold_scores: Losses = ()
    num_parameters: NonNegativeInt = 0  # of the model; 0 if it was not recorded
    seconds_per_step: float = 0.0  # in the median of its epochs; 0 if it was not recorded

    def value_of(self, objective: Objective) -> float | None:
        """Return the value of any objective: of an epoch's, that at the best epoch; None if it has none."""
        if objective.name in OF_TRIALS:
            return float(getattr(self, objective.name)) or None
        if self.best_epoch is None:
            return None
        values = objective.values(self.train_losses, self.val_losses, self.metrics)
        return or_none(values[self.best_epoch - 1])

    @property
    def is_candidate(self) -> bool:
        """Whether it may be the best: it has a score, and it ended at its end, or with its time but did not hang."""
        has_ended = self.state in (TrialState.COMPLETED, TrialState.TIMED_OUT) and not self.error
        return has_ended and self.score is not None

    @property
    def epochs_saved(self) -> int:
        """Epochs that were planned but not trained, because the trial was pruned, diverged or stopped improving."""
        if self.state in (TrialState.FAILED, TrialState.INFEASIBLE):
            return 0
        return max(0, self.planned_epochs - len(self.train_losses))

    @computed_field  # type: ignore[prop-decorator]  # mypy supports no decorator on a property
    @property
    def score(self) -> float | None:
        if self.fold_scores:
            return fmean(self.fold_scores)
        return None if self.best_epoch is None else self.scores[self.best_epoch - 1]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def best_epoch(self) -> PositiveInt | None:
        return self.objective.best_epoch(self.scores)

    @property
    def scores(self) -> tuple[float, ...]:
        """The value of the objective in each epoch."""
        return self.objective.values(self.train_losses, self.val_losses, self.metrics)

    @property
    def costs(self) -> tuple[float, ...]:
        """The value of the objective in each epoch, with the sign that makes lower better."""
        return tuple(map(self.objective.cost, self.scores))

    @property
    def cost(self) -> float | None:
        """The score with the sign that makes lower better; trials are compared by it."""
        return None if self.score is None else self.objective.cost(self.score)

    def curves(self) -> LossCurves:
        """Return the losses by epoch."""
        return LossCurves(self.train_losses, self.val_losses)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: losses that are not finite are None."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote."""
        return from_plain(cls, data)


def rate_name(optimizer: str, batch_size: int | None = None) -> str:
    """Return the name of an optimizer's rate in every engine; it has the batch size if the bounds are for that alone.

    >>> rate_name("sgd"), rate_name("sgd", 32)
    ('lr__sgd', 'lr__sgd__32')
    """
    return f"lr__{optimizer}" if batch_size is None else f"lr__{optimizer}__{batch_size}"


def is_reserved(name: str) -> bool:
    """Say whether a flat parameter name is one of ours, which a user's model must not use."""
    return name in RESERVED or name.startswith(("lr__", *(f"{family}__" for family in FAMILIES)))


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
