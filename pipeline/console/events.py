"""Define the events of a running stage, and describe each in words."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

MAX_ERROR = 160  # letters of an error on the line of a trial


@dataclass(frozen=True, slots=True)
class StageStarted:
    """The stage begins; `text` says whether it starts, goes on or has nothing left to do."""

    text: str
    out: Path


@dataclass(frozen=True, slots=True)
class RangeTestStarted:
    """One optimizer's range test begins."""

    optimizer: str
    num_steps: int
    repeats: int


@dataclass(frozen=True, slots=True)
class RepeatDone:
    """One of the repeats of a range test has ended; they count from 1."""

    optimizer: str
    repeat: int
    repeats: int


@dataclass(frozen=True, slots=True)
class RangeTestDone:
    """One optimizer's range test has ended; the rates are None if it has no answer."""

    optimizer: str
    low: float | None
    high: float | None
    suggested: float | None
    verdict_text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StudyStarted:
    """The search begins or goes on after `num_done` trials."""

    engine: str
    num_trials: int
    num_done: int


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One epoch of a running trial has ended; they count from 1."""

    number: int
    epoch: int
    epochs: int
    train_loss: float
    val_loss: float


@dataclass(frozen=True, slots=True)
class TrialDone:
    """One trial has ended; a score is None if there is none, lower is better."""

    number: int
    num_done: int
    num_trials: int
    state: str
    score: float | None
    best_score: float | None
    optimizer: str
    schedule: str
    lr: float
    epochs: int
    seconds: float
    error: str = ""


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
    'range test of adam: 3 x 100 steps'
    """
    match event:
        case StageStarted():
            return f"{event.text} (results in {event.out})"
        case RangeTestStarted():
            return f"range test of {event.optimizer}: {event.repeats} x {event.num_steps} steps"
        case RepeatDone():
            return f"range test of {event.optimizer}: repeat {event.repeat} of {event.repeats} has ended"
        case RangeTestDone():
            rates = f"{rate_text(event.low)} to {rate_text(event.high)}, suggested {rate_text(event.suggested)}"
            bounds = rates if event.low is not None else "no bounds"
            return f"range test of {event.optimizer}: {bounds}; {event.verdict_text} ({duration_text(event.seconds)})"
        case StudyStarted():
            done = f", {event.num_done} done before" if event.num_done else ""
            return f"study with {event.engine}: {event.num_trials} trials{done}"
        case EpochDone():
            losses = f"training loss {event.train_loss:.4g}, validation loss {event.val_loss:.4g}"
            return f"trial {event.number}: epoch {event.epoch} of {event.epochs}, {losses}"
        case TrialDone():
            scores = f"score {score_text(event.score)}, best {score_text(event.best_score)}"
            values = f"{event.optimizer} {event.schedule} lr {rate_text(event.lr)}"
            cost = f"{event.epochs} epochs in {duration_text(event.seconds)}"
            done = f"({event.num_done}/{event.num_trials})"
            why = f" ({in_short(event.error)})" if event.error else ""
            return f"trial {event.number} {event.state}{why}: {scores}, {values}, {cost} {done}"
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


def printable(text: str) -> str:
    r"""Return text on one line and without control characters, so that no name can move a cursor.

    >>> printable("two\nlines and \x1b[31mred")
    'two lines and ?[31mred'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def rate_text(rate: float | None) -> str:
    """Return a learning rate as short text."""
    return "-" if rate is None else f"{rate:.1e}"


def score_text(score: float | None) -> str:
    """Return a score as short text."""
    return "-" if score is None else f"{score:.4g}"


def duration_text(seconds: float) -> str:
    """Return a duration as short text.

    >>> duration_text(2.51), duration_text(75), duration_text(4000)
    ('2.5 s', '1:15 min', '1:06:40 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h" if minutes >= 60 else f"{minutes}:{rest:02} min"
