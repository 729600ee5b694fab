"""Take KerasTuner's HyperModel, an instance or a class, for the `build(hp)` that it holds."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

HP = "KerasTuner's hp"


def is_hyper_model(model: Any) -> bool:
    """Say whether something is one of KerasTuner's HyperModels, or a class of them; KerasTuner is not imported."""
    keras_tuner = sys.modules.get("keras_tuner")
    if keras_tuner is None:
        return False
    return isinstance(model, keras_tuner.HyperModel) or (
        isinstance(model, type) and issubclass(model, keras_tuner.HyperModel)
    )


def as_function(model: Any) -> Any:
    """Return the `build(hp)` of a HyperModel, of which a class is made first; anything else is returned as it is.

    Raises:
        TypeError: for a class whose constructor needs arguments.
    """
    if not is_hyper_model(model):
        return model
    hyper_model = _made(model) if isinstance(model, type) else model

    def build(hp: Any) -> Any:
        hyper_model.declare_hyperparameters(hp)
        return hyper_model.build(hp)

    return build


def overrides_fit(model: Any) -> bool:
    """Say whether a HyperModel has a `fit` of its own."""
    if not is_hyper_model(model):
        return False
    of_all: Any = sys.modules["keras_tuner"].HyperModel.fit
    kind: Any = model if isinstance(model, type) else type(model)
    return kind.fit is not of_all


def required_parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments without a default; of a function of C, whose arguments are not known, none."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return []
    variable = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return [one.name for one in parameters if one.default is one.empty and one.kind not in variable]


def one_argument(function: Callable[..., Any], name: str, argument: str = HP) -> str | None:
    """Return the name of the one argument that a user's function needs; None if it needs none.

    One that is called `hp` and comes first is given, although it may have a default.

    Args:
        function: builds a model, loads data or makes callbacks.
        name: what messages call the function.
        argument: what it is given, for messages.

    Raises:
        TypeError: if the function needs several, or one that it takes by keyword alone.
    """
    required = required_parameters(function)
    if not required:
        return "hp" if argument == HP and _begins_with_hp(function) else None
    by_keyword = inspect.signature(function).parameters[required[0]].kind is inspect.Parameter.KEYWORD_ONLY
    if len(required) > 1 or by_keyword:
        raise TypeError(
            f"{name} must take no argument, or one ({argument}), got one that needs {', '.join(required)}"
            f"{' by keyword' if by_keyword else ''}."
        )
    return required[0]


def takes_hyperparameters(function: Any, name: str = "A model builder") -> bool:
    """Say whether a model builder, or what loads data, needs one argument, which is KerasTuner's `hp`.

    Raises:
        TypeError: for a function that needs more.
    """
    return one_argument(as_function(function), name) is not None


def _begins_with_hp(function: Callable[..., Any]) -> bool:
    try:
        return next(iter(inspect.signature(function).parameters), None) == "hp"
    except ValueError:  # a function of C
        return False


def _made(kind: type[Any]) -> Any:
    needed = required_parameters(kind)
    if needed:
        raise TypeError(
            f"A HyperModel class must need no arguments, got {kind.__name__}, which needs {', '.join(needed)}. Pass an "
            f"instance: {kind.__name__}(...)."
        )
    return kind()
