"""Take KerasTuner's HyperModel, an instance or a class, for the `build(hp)` that it holds."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any


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
    """Return the names of the arguments that a function must be given by position."""
    positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(function).parameters.values()
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind in positional
    ]


def takes_hyperparameters(build_model: Any) -> bool:
    """Say whether a model builder needs one argument, which is KerasTuner's `hp`."""
    return len(required_parameters(as_function(build_model))) == 1


def _made(kind: type[Any]) -> Any:
    needed = required_parameters(kind)
    if needed:
        raise TypeError(
            f"A HyperModel class must need no arguments, got {kind.__name__}, which needs {', '.join(needed)}. Pass an "
            f"instance: {kind.__name__}(...)."
        )
    return kind()
