"""Turn the hyperparameters of a user's `build(hp)` into dimensions of a search space."""

from __future__ import annotations

import contextlib
import inspect
import io
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from studies.dimension import Condition, Dimension

if TYPE_CHECKING:
    import keras


def takes_hyperparameters(build_model: Callable[..., Any]) -> bool:
    """Say whether a model builder needs one argument, which is KerasTuner's `hp`."""
    needed = [one for one in inspect.signature(build_model).parameters.values() if one.default is one.empty]
    return len([one for one in needed if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]) == 1


def own_dimensions(build_model: Callable[..., keras.Model]) -> tuple[Dimension, ...]:
    """Return the hyperparameters that a model builder declares, including those in conditional scopes.

    The model is built until every scope has been opened. A builder without an argument has no hyperparameters.
    """
    if not takes_hyperparameters(build_model):
        return ()
    import keras_tuner

    oracle = keras_tuner.oracles.RandomSearchOracle(objective=keras_tuner.Objective("val_loss", "min"))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        keras_tuner.engine.base_tuner.BaseTuner(oracle, build_model, directory=folder, project_name="space")
    return tuple(_dimension(parameter) for parameter in oracle.get_space().space)


def _dimension(parameter: Any) -> Dimension:
    import keras_tuner

    kinds = keras_tuner.engine.hyperparameters
    name, default = parameter.name, parameter.default
    conditions: tuple[Condition, ...] = tuple((one.name, tuple(one.values)) for one in parameter.conditions)
    is_number = isinstance(parameter, kinds.Int | kinds.Float)
    # Only KerasTuner has steps that multiply and scales that are logarithmic from above.
    if not is_number or parameter.sampling == "reverse_log" or (parameter.sampling == "log" and parameter.step):
        return Dimension(name, tuple(parameter.values), default=default, conditions=conditions)
    return Dimension(
        name,
        (),
        parameter.min_value,
        parameter.max_value,
        log=parameter.sampling == "log",
        integer=isinstance(parameter, kinds.Int),
        step=parameter.step,
        default=default,
        conditions=conditions,
    )
