"""Define a task that is loaded: its model builder, its data, and how validation data was held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrrt.batches import Data
from studies.dimension import Value

if TYPE_CHECKING:
    from studies.analysis.folds import Fold


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How validation data was taken out of training data.

    Attributes:
        kind: of the split: "random", "stratified", "group" or "time".
        rows: the rows that are trained on, and those that were held out.
        looks_ordered: whether rows were drawn at random though their order looks like that of time or groups.
    """

    kind: str
    rows: Fold
    looks_ordered: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A model builder and data; `test` is None if the task has none.

    `callbacks` makes a trial's Keras callbacks; None for a task without callbacks. `groups` has the group of each row
    before any was held out. `held_out` says how the validation data was taken out of the training data; None for a task
    that brings its own. `of_values` gives the task with the data for values of the hyperparameters of `load_data`; None
    if it has none. `data_names` are their names, `model_names` those of the model's.
    """

    build_model: Any
    train: Data
    validation: Data
    test: Data | None = None
    callbacks: Callable[..., Any] | None = None
    groups: Any = None
    held_out: HeldOut | None = None
    of_values: Callable[[Mapping[str, Value]], Task] | None = None
    data_names: tuple[str, ...] = ()
    model_names: tuple[str, ...] = ()

    def for_values(self, values: Iterable[tuple[str, Value]]) -> Task:
        """Return the task with the data for values of a trial's own hyperparameters, by name."""
        return self if self.of_values is None else self.of_values(dict(values))
