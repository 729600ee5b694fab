"""Read the table of faulty tasks."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TABLE = Path(__file__).with_name("tasks.toml")


@dataclass(frozen=True)
class Fault:
    """A task with one fault.

    Attributes:
        name: what is wrong.
        kind: "code", "data" or "model"; or "works" for what a task may do.
        code: Python text that follows the good task and replaces a part of it.
        exit_code: of the run.
        words: a regular expression for the message.
        config: further keys of the config, such as "study.folds".
        is_long: whether `make faults` alone runs it.
    """

    name: str
    kind: str
    code: str
    exit_code: int
    words: str
    config: Mapping[str, object] = field(default_factory=dict)
    is_long: bool = False


def read_faults() -> tuple[str, list[Fault]]:
    """Return the good task as Python text, and the faults."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return table["good"], [Fault(**row) for row in table["task"]]
