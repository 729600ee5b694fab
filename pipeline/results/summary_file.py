"""Define the records of summary.json, from which its content and its JSON Schema are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, WithJsonSchema

from lrrt import Verdict
from lrrt.plain import Loss, Losses
from pipeline.data.data_use import DataUse
from studies import AtEdge, Evaluation, OverfitReport, TrialResult

Counts = Annotated[
    Mapping[str, int],
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}, "required": ["ended"]},
    ),
]


@dataclass(frozen=True, slots=True)
class RefittedModel:
    """The winner trained on training and validation data: its file, epochs, last training loss and test metrics."""

    model_file: str | None
    epochs: PositiveInt
    train_loss: Loss
    test: Mapping[str, Loss] | None


@dataclass(frozen=True, slots=True)
class TopModel:
    """The model of one of the best trials."""

    number: NonNegativeInt
    score: float | None
    model_file: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Best(TrialResult):
    """The winner: a trial, with the results of its further trainings, of the test data and of its losses.

    It is derived from a trial, because its keys stand beside those of the trial.
    """

    mean_score: float | None
    spread: float | None
    test: Mapping[str, Loss] | None
    model_file: str | None
    loading_code: str | None
    refitted: RefittedModel | None
    overfitting: OverfitReport
    overfitting_sentence: str
    evaluation: Evaluation | None
    at_edge: AtEdge | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of further trainings, None for one that was not completed, with their mean and spread."""

    mean_score: float | None
    spread: float | None
    scores: Losses


@dataclass(frozen=True, slots=True)
class RetrainedTrial:
    """One of the best trials with its further trainings; see `Retrained.as_dict`."""

    number: NonNegativeInt
    score: float
    mean_score: float | None
    spread: float | None
    seeds: Scores
    folds: Scores


@dataclass(frozen=True, slots=True)
class SearchedRange:
    """The rates searched for one optimizer, the verdict of its range test, and the number of diverged trials."""

    low: PositiveFloat
    high: PositiveFloat
    suggested: PositiveFloat | None
    verdict: Verdict
    reason: str
    is_fallback: bool
    width_decades: float
    original_width_decades: float
    num_trials: NonNegativeInt
    num_diverged: NonNegativeInt


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The searched decades and those of the whole ramp, for all ranges of rates together."""

    original_decades: float
    searched_decades: float
    num_diverged: NonNegativeInt


@dataclass(frozen=True, slots=True)
class EpochsSaved:
    """Epochs that were planned but not trained, by how the trials ended; a completed trial stopped early."""

    completed: NonNegativeInt
    pruned: NonNegativeInt
    diverged: NonNegativeInt


@dataclass(frozen=True, slots=True)
class Cuts:
    """Trials that reached a mark of their schedule, where pruning may cut them, those cut, and their steps saved."""

    could_cut: NonNegativeInt
    cut: NonNegativeInt
    steps_saved: NonNegativeInt


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """The cost of further trainings."""

    trainings: NonNegativeInt
    steps: NonNegativeInt
    epochs: NonNegativeInt
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a stage."""

    range_test_steps: NonNegativeInt
    range_test_seconds: float
    trial_steps: NonNegativeInt
    trial_seconds: float
    epochs: NonNegativeInt
    epochs_saved: EpochsSaved
    cuts: Cuts
    retraining: TrainingCost


@dataclass(frozen=True, slots=True)
class Summary:
    """The content of summary.json."""

    schema_version: Literal[1]
    status: Literal["done"]
    versions: Mapping[str, str]
    best: Best
    pareto_front: tuple[NonNegativeInt, ...]
    top: tuple[TopModel, ...]
    retrained: tuple[RetrainedTrial, ...]
    bounds: Mapping[str, SearchedRange]
    widened: tuple[AtEdge, ...]
    data: DataUse
    model: Mapping[str, Any]
    warm_start: Mapping[str, Any] | None
    narrowing: Narrowing
    num_trials: Counts
    cost: Cost
