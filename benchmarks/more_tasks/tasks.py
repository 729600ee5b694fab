"""List tasks of other kinds than those that the rules were fitted to, in the form that `bounds_quality.py` reads.

README.md beside this file says what they are, and what must be installed for their data.
"""

from __future__ import annotations

from more_tasks import images, series, tables, texts
from more_tasks.task import OPTIMIZERS, loader

__all__ = ["NAMES", "OPTIMIZERS", "load"]

TASKS = texts.TASKS | images.TASKS | series.TASKS | tables.TASKS
NAMES = tuple(TASKS)
load = loader(TASKS)
