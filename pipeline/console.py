"""Knows what a person sees of a run on stderr: a live display on a terminal, one plain line an event elsewhere."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, assert_never

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

ProgressStyle = Literal["auto", "bar", "plain", "none"]
WIDE = 76  # columns from which on a table has room for a verdict


@dataclass(frozen=True, slots=True)
class StageStarted:
    """The stage begins; `text` says whether it starts, resumes or has nothing left to do."""

    text: str
    out: Path


@dataclass(frozen=True, slots=True)
class RangeTestStarted:
    """One optimizer's range test begins."""

    optimizer: str
    num_steps: int
    repeats: int


@dataclass(frozen=True, slots=True)
class RangeTestDone:
    """One optimizer's range test has ended; the rates are None where it has no answer."""

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
class TrialDone:
    """One trial has ended; scores are None where there is none, lower is better."""

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


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing while the stage runs."""

    text: str


@dataclass(frozen=True, slots=True)
class StageDone:
    """The stage has ended well."""

    text: str


Event = StageStarted | RangeTestStarted | RangeTestDone | StudyStarted | TrialDone | Note | StageDone
Tell = Callable[[Event], None]


@contextmanager
def telling(stream: TextIO, style: ProgressStyle = "auto") -> Iterator[Tell]:
    """Yield the function that shows events on a stream while the block runs, and leave a terminal as it was found.

    Args:
        stream: usually stderr.
        style: "auto" is a live display on a terminal and plain lines elsewhere.
    """
    if style == "auto":
        style = "bar" if stream.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    if style == "none":
        yield _ignore
    elif style == "plain":
        yield PlainLines(stream)
    else:
        from rich.console import Console

        display = LiveDisplay(Console(file=stream, force_terminal=True, highlight=False))
        try:
            yield display
        finally:
            display.close()


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
        case RangeTestDone():
            rates = f"{_rate(event.low)} to {_rate(event.high)}, suggested {_rate(event.suggested)}"
            found = rates if event.low is not None else "no bounds"
            return f"range test of {event.optimizer}: {found}; {event.verdict_text} ({_duration(event.seconds)})"
        case StudyStarted():
            done = f", {event.num_done} done before" if event.num_done else ""
            return f"study with {event.engine}: {event.num_trials} trials{done}"
        case TrialDone():
            return (
                f"trial {event.number} {event.state}: score {_score(event.score)}, best {_score(event.best_score)}, "
                f"{event.optimizer} {event.schedule} lr {_rate(event.lr)}, {event.epochs} epochs in "
                f"{_duration(event.seconds)} ({event.num_done}/{event.num_trials})"
            )
        case Note() | StageDone():
            return event.text
    assert_never(event)


class PlainLines:
    """Shows each event as one line with its time in UTC, for batch logs: no colours, no control characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        print(now, printable(describe(event)), file=self._stream, flush=True)


class LiveDisplay:
    """Shows range tests as a table and the study as a bar with best, counts and times, kept up to date in place."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._console = console
        self._live = Live(console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False)
        # A whole hour tells the speed, because trials differ widely in length.
        columns = (
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
        )
        self._bar = Progress(*columns, console=console, speed_estimate_period=3600, expand=True)
        self._tests: list[RangeTestDone] = []
        self._counts: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        from rich.console import Group
        from rich.text import Text

        match event:
            case RangeTestStarted():
                from rich.spinner import Spinner

                self._show(Group(*self._table(), Spinner("dots", text=printable(describe(event)))))
            case RangeTestDone():
                self._tests.append(event)
                self._show(Group(*self._table()))
            case StudyStarted():
                self.close()
                self._bar.add_task("trials", total=event.num_trials, completed=event.num_done)
                self._show(self._bar)
            case TrialDone():
                self._counts[event.state] += 1
                for task in self._bar.task_ids:
                    self._bar.update(task, completed=event.num_done, total=event.num_trials)
                self._show(Group(self._bar, Text(printable(self._so_far(event)))))
            case StageStarted() | StageDone():
                self.close()
                self._console.print(Text(printable(describe(event)), style="bold"))
            case Note():
                self._console.print(Text(printable(event.text)))

    def close(self) -> None:
        """Leave what is shown where it stands, and give the cursor back."""
        if self._live.is_started:
            self._live.stop()
            self._live.update("")

    def _show(self, content: "RenderableType") -> None:
        self._live.update(content)
        if self._live.is_started:
            self._live.refresh()
        else:
            self._live.start(refresh=True)

    def _table(self) -> Iterator["RenderableType"]:
        from rich.table import Table
        from rich.text import Text

        if not self._tests:
            return
        wide = self._console.width >= WIDE
        table = Table("optimizer", "low", "high", "suggested", *(["verdict"] if wide else []), box=None)
        for test in self._tests:
            cells = [test.optimizer, _rate(test.low), _rate(test.high), _rate(test.suggested)]
            table.add_row(*(Text(printable(cell)) for cell in [*cells, *([test.verdict_text] if wide else [])]))
        yield table
        if not wide:
            yield from (Text(printable(f"{test.optimizer}: {test.verdict_text}"), style="dim") for test in self._tests)

    def _so_far(self, event: TrialDone) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self._counts.items()))
        last = f"{event.optimizer} {event.schedule} lr {_rate(event.lr)}: {_score(event.score)}"
        return f"best {_score(event.best_score)}; {counts}; last {last}"


def printable(text: str) -> str:
    r"""Return text on one line and without control characters, so that no name can move a cursor.

    >>> printable("two\nlines and \x1b[31mred")
    'two lines and ?[31mred'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def _ignore(event: Event) -> None:
    """Show nothing."""


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1e}"


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.4g}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h" if minutes >= 60 else f"{minutes}:{rest:02} min"
