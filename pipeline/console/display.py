"""Show a run on stderr: a live display on a terminal, one plain line per event elsewhere."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from lrrt.words import on_one_line
from pipeline.console.events import EpochDone, Event, RepeatDone, Tell, describe
from pipeline.console.streams import ProgressStyle, say

SILENCE_S = 60.0  # a log without a line for longer looks like a run that hangs


@contextmanager
def telling(stream: TextIO, style: ProgressStyle = "auto") -> Iterator[Tell]:
    """Yield a function that shows events on a stream while the block runs; then restore the terminal.

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

        from pipeline.console.live import LiveDisplay

        display = LiveDisplay(Console(file=stream, force_terminal=True, highlight=False))
        try:
            yield display
        finally:
            display.close()


class PlainLines:
    """Show each event as one line with its time in UTC, for batch logs: no colours, no control characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_line_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Write an event; write one inside a trial or a range test only after `SILENCE_S` without a line."""
        if isinstance(event, EpochDone | RepeatDone) and time.monotonic() - self._last_line_at < SILENCE_S:
            return
        self._last_line_at = time.monotonic()
        say(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {on_one_line(describe(event))}", self._stream)


def _ignore(event: Event) -> None:
    """Show nothing."""
