"""Describe a built model by all that makes it, its optimizer left out, so that two builds can be compared."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

SCALARS = (type(None), bool, int, float, complex, str, bytes, Enum)
OPAQUE = ("builtins", "tensorflow", "threading", "weakref", "_thread")  # modules whose objects hold no setting
OF_COMPILE = (
    "_compile_config"  # where Keras stores what `compile` got, the optimizer too; a model has the rest elsewhere
)

Traits = Mapping[str, str]


def traits_of(model: keras.Model) -> Traits:
    """Return settings, shapes, initial values, functions and their closures by where a model holds them.

    Names that Keras counts, and ids, are among them: compare only what two builds with the same values agree on.
    """
    return dict(_walk(model))


def differing(one: Traits, other: Traits) -> set[str]:
    """Return the places at which two models differ."""
    return {place for place in one.keys() | other.keys() if one.get(place) != other.get(place)}


def optimizer_traits(model: keras.Model) -> tuple[str, str]:
    """Return the class of a model's optimizer, in lower case, and its settings; ("", "") if it has none."""
    import keras

    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return "", ""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    config = {name: value for name, value in optimizer.get_config().items() if name != "name"}
    return type(optimizer).__name__.lower(), repr(sorted(config.items(), key=str))


def _walk(model: keras.Model) -> Iterator[tuple[str, str]]:
    seen: dict[int, str] = {}
    alive = []  # a part that is made on the way, such as a bound method, must keep its id
    stack: list[tuple[str, Any]] = [("", model)]
    while stack:
        place, value = stack.pop()
        shown = _shown(value)
        if shown is not None:
            yield place, shown
        elif id(value) in seen:
            yield place, f"as {seen[id(value)]}"
        elif not _is_of_the_optimizer(value):
            seen[id(value)] = place
            alive.append(value)
            yield place, type(value).__qualname__
            stack += [(f"{place}/{name}", part) for name, part in _parts(value)]


def _shown(value: Any) -> str | None:
    """Return a value without parts as text; None if it has parts."""
    import keras
    import tensorflow as tf

    if isinstance(value, SCALARS):
        return repr(value)
    if isinstance(value, np.ndarray | np.generic):
        return _array_shown(value)
    if isinstance(value, keras.Variable):
        return f"{value.trainable} {_array_shown(np.asarray(value))}"
    if isinstance(value, tf.Tensor | tf.Variable):
        return _array_shown(value.numpy()) if hasattr(value, "numpy") else f"{value.shape} {value.dtype}"
    if isinstance(value, keras.KerasTensor):
        return f"{value.shape} {value.dtype}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, types.ModuleType):
        return value.__name__
    return None


def _array_shown(array: Any) -> str:
    return f"{array.shape} {array.dtype} {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"


def _is_of_the_optimizer(value: Any) -> bool:
    import keras
    from keras.optimizers.schedules import LearningRateSchedule

    is_hp = type(value).__module__.startswith("keras_tuner")  # `hp`, which a model may hold, has all values
    return is_hp or isinstance(value, keras.Optimizer | LearningRateSchedule)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, functools.partial):
        yield from (("function", value.func), ("arguments", value.args), ("keywords", value.keywords))
    elif isinstance(value, types.MethodType):
        yield from (("function", value.__func__), ("self", value.__self__))
    elif isinstance(value, types.FunctionType):
        yield from (("code", value.__code__), ("defaults", value.__defaults__), ("keywords", value.__kwdefaults__))
        yield from ((f"cell {at}", _content(cell)) for at, cell in enumerate(value.__closure__ or ()))
    elif isinstance(value, types.CodeType):
        yield from (("name", value.co_qualname), ("code", value.co_code), ("constants", value.co_consts))
    elif isinstance(value, Mapping):
        for at, (key, part) in enumerate(value.items()):  # a key may be an id or a counted name
            yield from ((f"{at}:key", repr(key)), (str(at), part))
    elif isinstance(value, set | frozenset):
        yield "members", repr(sorted(map(str, value)))
    elif isinstance(value, list | tuple):
        yield from ((str(at), part) for at, part in enumerate(value))
    elif type(value).__module__.partition(".")[0] not in OPAQUE:
        yield from ((name, part) for name, part in getattr(value, "__dict__", {}).items() if name != OF_COMPILE)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None
