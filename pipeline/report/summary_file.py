"""Describe summary.json: the records that its content and its JSON Schema are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import NonNegativeInt, PositiveFloat, WithJsonSchema

from lrrt import Verdict
from lrrt.plain import Loss, Losses
from studies import AtEdge, OverfitReport, TrialResult

Counts = Annotated[
    Mapping[str, int],
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}, "required": ["ended"]},
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Best(TrialResult):
    """The winner: a trial, followed by what its further trainings, the test data and its losses show.

    Its keys stand beside those of the trial, which is why it is derived from one.
    """

    mean_score: float | None
    spread: float | None
    test: Mapping[str, Loss] | None
    model_file: str | None
    overfitting: OverfitReport
    overfitting_sentence: str
    at_edge: AtEdge | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of further trainings, None for one that did not come to its end, with their mean and spread."""

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
    """The rates searched for one optimizer, what its range test showed, and how many of its trials diverged."""

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
    """What was searched, beside the whole ramp, for every range of rates together."""

    original_decades: float
    searched_decades: float
    num_diverged: NonNegativeInt


@dataclass(frozen=True, slots=True)
class EpochsSaved:
    """Epochs that were planned and not trained, by how the trials ended; a completed one stopped early."""

    completed: NonNegativeInt
    pruned: NonNegativeInt
    diverged: NonNegativeInt


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """What further trainings cost."""

    trainings: NonNegativeInt
    steps: NonNegativeInt
    epochs: NonNegativeInt
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage cost."""

    range_test_steps: NonNegativeInt
    range_test_seconds: float
    trial_steps: NonNegativeInt
    trial_seconds: float
    epochs: NonNegativeInt
    epochs_saved: EpochsSaved
    retraining: TrainingCost


@dataclass(frozen=True, slots=True)
class Summary:
    """What summary.json holds."""

    schema_version: Literal[1]
    status: Literal["done"]
    versions: Mapping[str, str]
    best: Best
    retrained: tuple[RetrainedTrial, ...]
    bounds: Mapping[str, SearchedRange]
    widened: tuple[AtEdge, ...]
    narrowing: Narrowing
    num_trials: Counts
    cost: Cost
