"""Load a task's data for each set of values of its hyperparameters, and keep them as far as memory allows."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from lrrt.hyper_models import takes_hyperparameters
from studies.dimension import Dimension, Value
from studies.space.model_hyperparameters import dimension_of

KEPT_SHARE = 0.25  # of the machine's memory, for data of other values than the last


class HasData(Protocol):
    """A task with its data."""

    @property
    def train(self) -> Any: ...
    @property
    def validation(self) -> Any: ...
    @property
    def test(self) -> Any: ...


T = TypeVar("T", bound=HasData)


class DataOfValues(Generic[T]):
    """The task with the data of some values; the data of the values used last stay loaded.

    Args:
        load: loads the task for values of hyperparameters by name.
        names: the hyperparameters of `load_data`.
        first: values whose data are loaded already, and the task with them.
        max_bytes: so many bytes of data stay loaded at most, and those of the last values in any case; None for a
            quarter of this machine's memory.
    """

    def __init__(
        self,
        load: Callable[[Mapping[str, Value]], T],
        names: tuple[str, ...],
        max_bytes: int | None = None,
        *,
        first: tuple[Mapping[str, Value], T] | None = None,
    ) -> None:
        self._load, self.names = load, names
        self._max_bytes = _memory_bytes() * KEPT_SHARE if max_bytes is None else max_bytes
        self._tasks: OrderedDict[tuple[tuple[str, Value], ...], T] = OrderedDict()
        if first is not None:
            self._tasks[self.key(first[0])] = first[1]

    def __call__(self, values: Mapping[str, Value]) -> T:
        """Return the task with the data for these values, of which those of the model are ignored."""
        key = self.key(values)
        if key not in self._tasks:
            self._tasks[key] = self._load(dict(key))
        self._tasks.move_to_end(key)
        while len(self._tasks) > 1 and sum(map(_num_bytes, self._tasks.values())) > self._max_bytes:
            self._tasks.popitem(last=False)
        return self._tasks[key]

    def key(self, values: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
        """Return the values that the data depend on."""
        return tuple((name, values[name]) for name in self.names if name in values)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a `load_data(hp)` declares, and what it returned for its defaults."""

    dimensions: tuple[Dimension, ...]
    defaults: Mapping[str, Value]
    data: Any


def data_dimensions(load_data: Callable[..., Any]) -> Declared | None:
    """Return the hyperparameters that a `load_data(hp)` declares, including those in conditional scopes.

    The data are loaded until every scope has been opened; those of the defaults stay loaded, so that they need not be
    loaded again. Return None for a function without an argument, which is not called.
    """
    if not takes_hyperparameters(load_data, "load_data"):
        return None
    import keras_tuner

    first: list[tuple[Mapping[str, Value], Any]] = []

    def load(hp: Any) -> Any:
        data = load_data(hp)
        if not first:
            first.append((dict(hp.values), data))
        return data

    oracle = keras_tuner.oracles.RandomSearchOracle(objective=keras_tuner.Objective("val_loss", "min"))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        keras_tuner.engine.base_tuner.BaseTuner(oracle, load, directory=folder, project_name="space")
    dimensions = (
        dimension_of(one, tuple((scope.name, tuple(scope.values)) for scope in one.conditions))
        for one in oracle.get_space().space
    )
    return Declared(tuple(dimensions), *first[0])


def _num_bytes(task: HasData) -> int:
    from keras import tree

    parts = task.train, task.validation, task.test
    return sum(int(getattr(leaf, "nbytes", 0)) for leaf in tree.flatten(parts))


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
