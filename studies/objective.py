"""Define what the trials of a study are scored by: a loss or a metric of each epoch, and which way it is better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from lrrt.monitor import direction_of

Direction = Literal["min", "max"]
TRAIN_LOSS, VAL_LOSS_NAME = "loss", "val_loss"


@dataclass(frozen=True, slots=True)
class Objective:
    """What a study looks for: the epoch and the trial with the best value of `name`.

    A score is a value of the objective, as Keras shows it. A cost is the same number with the sign that makes lower
    better; whatever compares trials compares costs.

    Attributes:
        name: the key in Keras's logs: "val_loss", "loss", or a metric with or without "val_".
        direction: "min" if lower is better, "max" if higher is.

    Raises:
        ValueError: for a name that is empty, or another direction.

    >>> auc = Objective("val_auc", "max")
    >>> auc.cost(0.9), auc.score(-0.9), auc.best_epoch([0.7, 0.9, float("nan"), 0.8])
    (-0.9, 0.9, 2)
    """

    name: str = VAL_LOSS_NAME
    direction: Direction = "min"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError(f"An objective must be the name of a loss or a metric, got {self.name!r:.80}.")
        if self.direction not in get_args(Direction):
            raise ValueError(f'`direction` must be "min" or "max", got {self.direction!r:.80}.')

    @classmethod
    def named(cls, name: str, direction: str = "auto", model: Any = None) -> Self:
        """Return the objective of this name.

        Args:
            name: the key in Keras's logs.
            direction: "min", "max", or "auto": what Keras says of the model's metric of this name, or of its own metric
                whose name this is; losses and errors are minimised.
            model: a compiled keras.Model; None if only the name is known.

        Raises:
            ValueError: for an unknown direction, or if the direction of the metric is not known.
        """
        if direction not in ("auto", *get_args(Direction)):
            raise ValueError(f'`direction` must be "auto", "min" or "max", got {direction!r:.80}.')
        known = direction_of(name, model) if direction == "auto" else direction
        if known is None:
            raise ValueError(
                f"The direction of an objective must be known, but Keras has none for {name!r}. Say direction = "
                '"min" or direction = "max"; of several objectives, one for each, as ["auto", "max"].'
            )
        return cls(name, "min" if known == "min" else "max")

    @property
    def label(self) -> str:
        """The words for it in a sentence: "validation loss", "val_auc"."""
        words = {TRAIN_LOSS: "training loss", VAL_LOSS_NAME: "validation loss", "num_parameters": "parameters"}
        return words.get(self.name, self.name.replace("seconds_per_step", "seconds a step"))

    @property
    def is_maximised(self) -> bool:
        """Whether higher is better."""
        return self.direction == "max"

    def cost(self, score: float) -> float:
        """Return a score with the sign that makes lower better."""
        return -score if self.is_maximised else score

    def costs(self, scores: Iterable[float]) -> tuple[float, ...]:
        """Return scores with the sign that makes lower better."""
        return tuple(map(self.cost, scores))

    def score(self, cost: float) -> float:
        """Return the score of a cost."""
        return self.cost(cost)

    def values(
        self, train_losses: Sequence[float], val_losses: Sequence[float], metrics: Mapping[str, Sequence[float]]
    ) -> tuple[float, ...]:
        """Return its value in each epoch, NaN if an epoch has none.

        Args:
            train_losses: of each epoch.
            val_losses: of each epoch.
            metrics: every other value of each epoch, by the key in Keras's logs.
        """
        values = {TRAIN_LOSS: train_losses, VAL_LOSS_NAME: val_losses}.get(self.name) or metrics.get(self.name, ())
        return (*values, *(math.nan for _ in range(len(train_losses) - len(values))))

    def best_epoch(self, values: Sequence[float]) -> int | None:
        """Return the epoch with the best finite value, the first of equals, from 1; None if there is none."""
        finite = [(self.cost(value), epoch) for epoch, value in enumerate(values, start=1) if math.isfinite(value)]
        return min(finite)[1] if finite else None


VAL_LOSS = Objective()
NUM_PARAMETERS = Objective("num_parameters")
SECONDS_PER_STEP = Objective("seconds_per_step")
OF_TRIALS = {one.name: one for one in (NUM_PARAMETERS, SECONDS_PER_STEP)}
"""Objectives that a trial has as a whole; only further ones beside one that each epoch shows."""

Objectives = tuple[Objective, ...]
"""One or several objectives; trials are ranked, pruned and trained by the first."""


def objectives_named(objectives: Objective | str | Sequence[Objective | str]) -> Objectives:
    """Return objectives, each given as it is or by the name of a loss, of one of Keras's metrics, or of a trial.

    Raises:
        ValueError: for none, for one twice, for a first one that no epoch shows, or for a name whose direction is not
            known.

    >>> [one.name for one in objectives_named(["val_loss", "num_parameters"])]
    ['val_loss', 'num_parameters']
    """
    given = [objectives] if isinstance(objectives, Objective | str) else list(objectives)
    every = tuple(one if isinstance(one, Objective) else OF_TRIALS.get(one) or Objective.named(one) for one in given)
    check_names([one.name for one in every])
    return every


def check_names(names: Sequence[str]) -> None:
    """Refuse names of objectives that cannot stand together.

    Raises:
        ValueError: for none, for one twice, or for a first one that no epoch shows.
    """
    if not names:
        raise ValueError("There must be one objective at least, got none.")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"Each objective may stand once, got {twice[0]!r} twice.")
    if names[0] in OF_TRIALS:
        raise ValueError(f"The first objective must be a loss or a metric, which each epoch shows, got {names[0]!r}.")
