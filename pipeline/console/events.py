"""Define the events of a running stage, and describe each in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from lrrt.words import duration_text, rate_text, score_text

if TYPE_CHECKING:
    from lrrt import Bounds
    from studies import EpochEnded, TrialResult

MAX_ERROR = 160  # letters of an error on the line of a trial


@dataclass(frozen=True, slots=True)
class StageStarted:
    """The stage begins; `text` says whether it starts, goes on or has nothing left to do."""

    text: str
    out: Path


@dataclass(frozen=True, slots=True)
class RangeTestStarted:
    """One range test begins; its label is the optimizer's, and the batch size's if several are tested."""

    label: str
    num_steps: int
    repeats: int


@dataclass(frozen=True, slots=True)
class RepeatDone:
    """One of the repeats of a range test has ended; they count from 1."""

    label: str
    repeat: int
    repeats: int


@dataclass(frozen=True, slots=True)
class RangeTestDone:
    """One range test has ended."""

    label: str
    bounds: Bounds
    seconds: float


@dataclass(frozen=True, slots=True)
class StudyStarted:
    """The search begins or goes on after `num_done` trials."""

    engine: str
    num_trials: int
    num_done: int


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One epoch of a running trial has ended."""

    ended: EpochEnded


@dataclass(frozen=True, slots=True)
class TrialDone:
    """One trial has ended; `best` is the best so far, None if no trial has a score."""

    result: TrialResult
    best: TrialResult | None
    num_done: int
    num_trials: int

    @property
    def best_score(self) -> float | None:
        return None if self.best is None else self.best.score


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the user while the stage runs."""

    text: str


@dataclass(frozen=True, slots=True)
class StageDone:
    """The stage has ended well."""

    text: str


Event = (
    StageStarted
    | RangeTestStarted
    | RepeatDone
    | RangeTestDone
    | StudyStarted
    | EpochDone
    | TrialDone
    | Note
    | StageDone
)
Tell = Callable[[Event], None]


def describe(event: Event) -> str:
    """Return an event as a sentence.

    >>> describe(RangeTestStarted("adam", num_steps=100, repeats=3))
    'range test of adam: at most 3 x 100 steps'
    """
    match event:
        case StageStarted():
            return f"{event.text} (results in {event.out})"
        case RangeTestStarted():
            return f"range test of {event.label}: at most {event.repeats} x {event.num_steps} steps"
        case RepeatDone():
            return f"range test of {event.label}: repeat {event.repeat} of {event.repeats} has ended"
        case RangeTestDone():
            bounds, steps = event.bounds, event.bounds.training_steps
            length = "" if steps is None else f" for trainings of {steps} updates"
            rates = f"{rate_text(bounds.low)} to {rate_text(bounds.high)}, suggested {rate_text(bounds.suggested)}"
            answer = "no bounds" if bounds.low is None else f"{rates}{length}"
            return f"range test of {event.label}: {answer}; {bounds.reason} ({duration_text(event.seconds)})"
        case StudyStarted():
            done = f", {event.num_done} done before" if event.num_done else ""
            return f"study with {event.engine}: {event.num_trials} trials{done}"
        case EpochDone():
            ended = event.ended
            train_loss, val_loss = score_text(ended.train_losses[-1]), score_text(ended.val_losses[-1])
            losses = f"training loss {train_loss}, validation loss {val_loss}"
            return f"trial {ended.number}: epoch {ended.epoch} of {ended.epochs}, {losses}"
        case TrialDone():
            result = event.result
            score = "no score" if result.score is None else f"{result.objective.label} {score_text(result.score)}"
            scores = f"{score}, best {score_text(event.best_score)}"
            num_epochs = len(result.train_losses)
            cost = f"{num_epochs} epoch{'' if num_epochs == 1 else 's'} in {duration_text(result.seconds)}"
            done = f"({event.num_done}/{event.num_trials})"
            why = f" ({in_short(result.error)})" if result.error else ""
            state = f"{state_text(result)}{why}"
            return f"trial {result.number} {state}: {scores}, {values_text(result)}, {cost} {done}"
        case Note() | StageDone():
            return event.text
    assert_never(event)


def in_short(error: str) -> str:
    """Return the first line of an error, which may go on with a traceback or a graph, cut to a line's length.

    >>> in_short("ValueError: no room\\nfor more")
    'ValueError: no room'
    """
    first = (error.strip().splitlines() or [""])[0]
    return first if len(first) <= MAX_ERROR else f"{first[: MAX_ERROR - 1]}…"


def state_text(result: TrialResult) -> str:
    """Return how a trial ended, in one word."""
    return result.state.name.lower()


def values_text(result: TrialResult) -> str:
    """Return the optimizer, schedule and rate of a trial as short text."""
    config = result.config
    return f"{config.optimizer_name} {config.schedule} lr {rate_text(config.lr)}"
