"""Define how one trial ended: its state, its losses and its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PositiveInt,
    WithJsonSchema,
    computed_field,
)

from lrrt.plain import Losses, Named, from_plain, or_none, to_plain
from studies.dimension import Value
from studies.objective import OF_TRIALS, VAL_LOSS, Objective
from studies.overfitting import LossCurves
from studies.trial_config import TrialConfig


class TrialState(Named):
    """How a trial ended; the value is the sentence shown."""

    COMPLETED = "trained until its last epoch, or until it stopped improving"
    PRUNED = "cut, because it was worse than others of its schedule at the same phase"
    DIVERGED = "stopped, because a loss was not finite"
    TIMED_OUT = "ended, because its time was used up"
    INFEASIBLE = "not trained, because its model has too many parameters"
    FAILED = "raised an error"


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

    Attributes:
        number: of the trial in its study.
        config: its values.
        state: how it ended.
        train_losses: of each epoch.
        val_losses: of each epoch.
        num_steps: updates that were trained.
        seconds: how long the trial took.
        error: what was raised, or how it hung; empty if nothing went wrong.
        planned_epochs: the number of epochs if nothing ends the trial early; 0 if it was not recorded.
        objective: what the trial is scored by.
        metrics: values of each epoch besides the losses, by the key in Keras's logs: "accuracy", "val_accuracy".
        fold_scores: if the trial was trained on folds, its scores on them, whose mean is its score.
        num_parameters: of the model; 0 if it was not recorded.
        seconds_per_step: in the median of its epochs; 0 if it was not recorded. If an epoch is one call under XLA, its
            validation counts too, unless this is an objective.
        evaluated_train_loss: the training loss after the best epoch, evaluated as the validation loss is, on about as
            many random samples; None if no limit of the gap between the two asked for it.
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
    num_parameters: NonNegativeInt = 0
    seconds_per_step: float = 0.0
    evaluated_train_loss: float | None = None

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
    def generalisation_gap(self) -> float | None:
        """Validation minus training loss after the best epoch; None if they give none.

        The training loss is the evaluated one; if it is not known, the mean over that epoch.
        """
        if self.best_epoch is None or not self.val_losses:
            return None
        train_loss = self.evaluated_train_loss
        if train_loss is None:
            train_loss = self.train_losses[self.best_epoch - 1]
        return or_none(self.val_losses[self.best_epoch - 1] - train_loss)

    @property
    def part(self) -> tuple[int, TrialState, int]:
        """What distinguishes this result from those of earlier and later parts of the same trial."""
        return self.number, self.state, len(self.train_losses)

    @property
    def epochs_saved(self) -> int:
        """Epochs that were planned but not trained, because the trial was pruned, diverged or stopped improving."""
        if self.state in (TrialState.FAILED, TrialState.INFEASIBLE):
            return 0
        return max(0, self.planned_epochs - len(self.train_losses))

    @computed_field  # type: ignore[prop-decorator]  # mypy supports no decorator on a property
    @property
    def score(self) -> float | None:
        """The best value of the objective, or its mean over the folds; None if no epoch has one."""
        if self.fold_scores:
            return fmean(self.fold_scores)
        scores = self.scores
        best_epoch = self.objective.best_epoch(scores)
        return None if best_epoch is None else scores[best_epoch - 1]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def best_epoch(self) -> PositiveInt | None:
        """The epoch of the best value, counted from 1; None if no epoch has one."""
        return self.objective.best_epoch(self.scores)

    @property
    def scores(self) -> tuple[float, ...]:
        """The value of the objective in each epoch."""
        return self.objective.values(self.train_losses, self.val_losses, self.metrics)

    @property
    def costs(self) -> tuple[float, ...]:
        """The value of the objective in each epoch, with the sign that makes lower better."""
        return self.objective.costs(self.scores)

    @property
    def cost(self) -> float | None:
        """The score with the sign that makes lower better; trials are compared by it."""
        score = self.score
        return None if score is None else self.objective.cost(score)

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
