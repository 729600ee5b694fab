"""Show a run live on a terminal: a table of range tests, then a bar with the best trial so far."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

from lrrt.words import on_one_line, rate_text, score_text
from pipeline.console.events import (
    EpochDone,
    Event,
    Note,
    RangeTestDone,
    RangeTestStarted,
    RepeatDone,
    StageDone,
    StageStarted,
    StudyStarted,
    TrialDone,
    describe,
    state_text,
    values_text,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDE = 76  # columns; from this width on a table has room for a verdict


class LiveDisplay:
    """Show range tests as a table and the study as a bar with best, counts and times, updated in place."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._console = console
        self._live = Live(console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False)
        # The speed is that of the last hour, because trials differ widely in length.
        columns = (
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
        )
        self._bar = Progress(*columns, console=console, speed_estimate_period=3600, expand=True)
        self._tests: list[RangeTestDone] = []
        self._running: dict[int, EpochDone] = {}
        self._so_far = ""
        self._counts: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        from rich.text import Text

        match event:
            case RangeTestStarted() | RepeatDone():
                self._show(*self._table(), self._spinner(event))
            case RangeTestDone():
                self._tests.append(event)
                self._show(*self._table())
            case StudyStarted():
                self.close()
                self._bar.add_task("trials", total=event.num_trials, completed=event.num_done)
                self._show_study()
            case EpochDone():
                self._running[event.ended.number] = event
                self._show_study()
            case TrialDone():
                self._counts[state_text(event.result)] += 1
                self._running.pop(event.result.number, None)
                for task in self._bar.task_ids:
                    self._bar.update(task, completed=event.num_done, total=event.num_trials)
                self._so_far = self._in_short(event)
                self._show_study()
            case StageStarted() | StageDone():
                self.close()
                self._console.print(Text(on_one_line(describe(event)), style="bold"))
            case Note():
                self._console.print(Text(on_one_line(event.text)))
            case _:
                assert_never(event)

    def close(self) -> None:
        """Leave the display on the terminal, and give the cursor back."""
        if self._live.is_started:
            self._live.stop()
            self._live.update("")

    def _show_study(self) -> None:
        from rich.text import Text

        lines = [*filter(None, [self._so_far]), *map(describe, self._running.values())]
        self._show(self._bar, *(Text(on_one_line(line)) for line in lines))

    def _show(self, *content: "RenderableType") -> None:
        from rich.console import Group

        self._live.update(Group(*content))
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
            rates = (test.bounds.low, test.bounds.high, test.bounds.suggested)
            cells = [test.label, *map(rate_text, rates), *([test.bounds.reason] if wide else [])]
            table.add_row(*(Text(on_one_line(cell)) for cell in cells))
        yield table
        if not wide:
            yield from (Text(on_one_line(f"{test.label}: {test.bounds.reason}"), style="dim") for test in self._tests)

    def _spinner(self, event: Event) -> "RenderableType":
        from rich.spinner import Spinner

        return Spinner("dots", text=on_one_line(describe(event)))

    def _in_short(self, event: TrialDone) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self._counts.items()))
        best = score_text(event.best_score)
        return f"best {best}; {counts}; last {values_text(event.result)}: {score_text(event.result.score)}"
