"""Collect the fields that distinguish tasks, range tests and studies from each other."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lrrt import Loops, RangeTestResult
from lrrt.arrays import ArrayBatches
from lrrt.batches import Batches
from lrrt.plain import from_plain, to_plain
from lrrt.rows import as_bytes, gather
from lrrt.variables import num_parameters
from pipeline.config.study_table import ADDED_LATER, MAY_CHANGE
from pipeline.config.tables import StageConfig
from pipeline.task.sources import sources_of
from studies import Dimension
from studies.space.model_hyperparameters import ModelSpace
from studies.user_code import tried

if TYPE_CHECKING:
    import keras

Fields = dict[str, Any]
SAMPLED_ROWS = 100  # of each array, evenly spaced, and the last; a read of all rows may take long
DIGITS = 16  # of a digest in place of a part of the fields; a message shows it if it differs


@dataclass(frozen=True, slots=True)
class TaskPrint:
    """The facts that distinguish a loaded task from others.

    Attributes:
        data: for each part, shapes and a digest of some rows; the rows of a stream are not read.
        model: its size and a digest of its architecture and loss.
        own: the hyperparameters of the model.
        source: a digest of the modules of the task and of the user's modules that they import. It does not distinguish
            tasks; but if it has not changed, the task need not be loaded again.
        callbacks_code: a digest of the code of the callbacks, since nothing else shows what they do; None without them.
    """

    data: Mapping[str, Fields]
    model: Fields
    own: tuple[Dimension, ...]
    source: str | None
    callbacks_code: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def fields(self) -> Fields:
        """The facts on which range tests depend, as plain data; those of its callbacks are not among them."""
        others = ("source", "callbacks_code", "notes")
        return {name: value for name, value in self.as_dict().items() if name not in others}

    def as_dict(self) -> Fields:
        """Return plain data for JSON."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Make the print again from the JSON of `as_dict`."""
        return from_plain(cls, fields)


def print_of(config: StageConfig, loops: Loops, own: ModelSpace) -> TaskPrint:
    """Return the print of a task, from its data and model."""
    assert loops.validation is not None, "a task without validation data has some held out"
    parts = {"train": loops.batches, "validation": loops.validation}
    data = {name: _data_fields(batches) for name, batches in parts.items()}
    callbacks_code = callbacks_code_of(config)
    return TaskPrint(data, _model_fields(loops.model), own.dimensions, source_of(config), callbacks_code, own.notes)


def range_test_fields(config: StageConfig, task: TaskPrint) -> Fields:
    """Return all that a range test depends on, as plain data.

    Its curves do not depend on the epochs of a trial; the rates of the short trainings that confirm its bounds do.
    """
    return to_plain(
        {
            "task": config.task.model_dump(),
            "range_test": config.range_test.model_dump(),
            "batch_sizes": config.tested_batch_sizes,
            "seed": config.study.seed,
            **({"epochs": config.study.epochs} if config.range_test.confirm_steps else {}),
            **task.fields,
        }
    )


def study_fields(config: StageConfig, task: TaskPrint, given: RangeTestResult | None) -> Fields:
    """Return all that the trials of a study depend on, as plain data.

    Args:
        config: the config; the number of trials and other limits, which may be raised, and the steps after the search
            do not count.
        task: the print of the task.
        given: bounds that do not come from the run's range tests; None if they do.
    """
    keys = type(config.study).model_fields
    by_default = [key for key in ADDED_LATER if getattr(config.study, key) == keys[key].default]
    return to_plain(
        {
            "task": config.task.model_dump(),
            "range_test": config.range_test.model_dump(),
            "study": config.study.model_dump(exclude={*by_default, *MAY_CHANGE}),
            **task.fields,
            **({} if task.callbacks_code is None else {"callbacks_code": task.callbacks_code}),
            **({} if given is None else {"bounds": _rates(given)}),
        }
    )


def is_unchanged(config: StageConfig, task: TaskPrint) -> bool:
    """Say whether no module that the task imports has changed since the task was last loaded."""
    return task.source is not None and task.source == source_of(config)


def source_of(config: StageConfig) -> str | None:
    """Return a digest of the source of the user's modules that the task imports; None if there is no source."""
    task = config.task
    return _digest_of_sources(filter(None, [task.build_model, task.load_data, task.callbacks]))


def callbacks_code_of(config: StageConfig) -> str | None:
    """Return a digest of the code that makes the callbacks; None if there are none, or if it cannot be read."""
    return _digest_of_sources([config.task.callbacks], reads=_code) if config.task.callbacks else None


def _digest_of_sources(references: Iterable[str], *, reads: Callable[[bytes], bytes] = bytes) -> str | None:
    try:
        sources = sources_of(references)
        return _digest(part for name in sorted(sources) for part in (name.encode(), reads(sources[name])))
    except (ImportError, SyntaxError, ValueError, OSError):
        return None


def _code(source: bytes) -> bytes:
    """Return source without its comments and its layout, which may change during a study."""
    return ast.unparse(ast.parse(source)).encode()


def _rates(bounds: RangeTestResult) -> Fields:
    return {label: [one.low, one.high] for label, one in bounds.bounds.items()}


def _data_fields(batches: Batches) -> Fields:
    from keras import tree

    if not isinstance(batches, ArrayBatches):
        return {"arrays": [_shown(leaf, tuple(leaf.shape)[1:]) for leaf in tree.flatten(batches.sample(1))]}
    leaves = tree.flatten(batches.arrays)
    rows = sorted({number * (batches.num_samples - 1) // SAMPLED_ROWS for number in range(SAMPLED_ROWS + 1)})
    return {
        "arrays": [_shown(leaf, tuple(leaf.shape)) for leaf in leaves],
        "sample": _digest(as_bytes(gather(leaf, rows)) for leaf in leaves),
    }


def _model_fields(model: keras.Model) -> Fields:
    shapes = [_shown(variable, tuple(variable.shape)) for variable in model.variables]
    described = [*map(_described, model._flatten_layers(include_self=False)), shapes]
    return {
        "num_parameters": num_parameters(model),
        "architecture": _digest(json.dumps(part, default=_name_of).encode() for part in described),
        "loss": model.loss if isinstance(model.loss, str) else _name_of(model.loss),
    }


def _described(layer: Any) -> list[Any]:
    """Return a layer's class and, if it has no layers inside, its settings.

    Its name is left out, because a default name has a number that counts the layers made before.
    """
    if layer._flatten_layers(include_self=False):
        return [type(layer).__name__]
    config, _ = tried(layer.get_config)  # the user's layer may have none
    settings = {name: value for name, value in config.items() if name != "name"} if isinstance(config, dict) else {}
    return [type(layer).__name__, settings]


def _shown(array: Any, shape: tuple[int, ...]) -> str:
    return f"{shape} {getattr(array.dtype, 'name', array.dtype)}"


def _name_of(value: object) -> str:
    return str(getattr(value, "__name__", type(value).__name__))


def digest_of(fields: Fields) -> str:
    """Return a digest of fields; equal fields have equal digests."""
    return _digest([json.dumps(fields, sort_keys=True).encode()])


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:DIGITS]
