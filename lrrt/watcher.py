"""Follow range tests while they run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrrt.bounds import Bounds

_LOG = logging.getLogger("lrrt")


class Watcher:
    """Hears what happens while ranges are tested; override the methods that you need. What they raise ends the work.

    A case is an optimizer, at a batch size and with hyperparameters if there are several; it is known by its label.
    """

    def on_note(self, text: str) -> None:
        """Hear a sentence that a user should know; it is logged as a warning."""
        _LOG.warning(text)

    def on_case_begin(self, label: str) -> None:
        """Hear that the range test of a case begins."""

    def on_repeat_end(self, label: str, repeat: int) -> None:
        """Hear that a repeat of a case has ended; repeats count from 1."""

    def on_case_end(self, label: str, bounds: Bounds) -> None:
        """Hear the bounds of a case."""
