"""Turn the hyperparameters of a user's `build(hp)` or HyperModel into dimensions of a search space."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from lrrt.hyper_models import as_function, overrides_fit, takes_hyperparameters
from lrrt.models import ModelSource
from lrrt.optimizers import known_optimizers
from studies.dimension import Condition, Dimension
from studies.space.existence import conditions_of
from studies.space.exploration import Exploration
from studies.space.exploring import MAX_BUILDS, explore

_LOG = logging.getLogger(__name__)
_INSTEAD = {  # what a config has in place of a hyperparameter of the optimizer, by a part of the name
    "optimizer": '"optimizers = [..]" under [range_test] says which are searched',
    "weight_decay": '"weight_decay = [low, high]" under [study] searches that of each optimizer',
    "momentum": '"momentum = [low, high]" under [study] searches that of each optimizer',
    "lr": "range tests give the rates to search",
    "learning_rate": "range tests give the rates to search",
    "rate": "range tests give the rates to search",
}


@dataclass(frozen=True, slots=True)
class ModelSpace:
    """The hyperparameters of a user's model.

    Attributes:
        dimensions: those to search, each after those in its conditions.
        optimizers: the names among which the model chooses its own optimizer, in lower case; () if it does not.
        notes: sentences for the user, about what is left out.
    """

    dimensions: tuple[Dimension, ...] = ()
    optimizers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def own_dimensions(model: ModelSource, *, on_note: Callable[[str], None] = _LOG.warning) -> tuple[Dimension, ...]:
    """Return the hyperparameters that a model's builder asks for, and which a study may search; see `model_space`.

    Args:
        model: a function without an argument, which has none, KerasTuner's `build(hp)`, or a HyperModel.
        on_note: called with a sentence about each that is left out.
    """
    space = model_space(model)
    for note in space.notes:
        on_note(note)
    return space.dimensions


def model_space(
    model: ModelSource, *, max_builds: int = MAX_BUILDS, on_progress: Callable[[str], None] = lambda text: None
) -> ModelSpace:
    """Find the hyperparameters of a model by building it under several values; see `studies.space.exploring`.

    Those that change nothing but the model's optimizer are left out, since trials have optimizers of their own.

    Args:
        model: a function without an argument, which has none, KerasTuner's `build(hp)`, or a HyperModel.
        max_builds: the number of builds, at most.
        on_progress: called every few seconds with a sentence on how far it is.

    Raises:
        ValueError: if a name is declared twice with different values.
        Exception: whatever the builder raises under its defaults.
    """
    notes = list(_about_fit(model))
    build = as_function(model)
    if not takes_hyperparameters(build):
        return ModelSpace(notes=tuple(notes))
    exploration = explore(build, max_builds=max_builds, on_progress=on_progress)
    left_out = _of_the_optimizer_alone(exploration)
    choice = next((name for name in left_out if _chooses_optimizers(exploration, name)), None)
    notes += [_left_out(name, is_choice=name == choice) for name in exploration.homes if name in left_out]
    notes += [_without_effect(name) for name in exploration.without_effect]
    if not exploration.is_whole:
        notes.append(
            f"the model was built under {max_builds} sets of values, which may not have shown all of its "
            "hyperparameters: those that appear later keep their defaults"
        )
    dimensions = tuple(_dimension(name, exploration) for name in exploration.homes if name not in left_out)
    names = () if choice is None else tuple(str(value).lower() for value in exploration.points(choice))
    return ModelSpace(dimensions, names, tuple(notes))


def _about_fit(model: ModelSource) -> Iterator[str]:
    if overrides_fit(model):
        name = (model if isinstance(model, type) else type(model)).__name__
        yield (
            f"{name}.fit is not called: every trial is trained by lrrt's own loop, and what that method asks of hp is "
            "not searched; give batch sizes, epochs, class weights and callbacks in the config"
        )


def _of_the_optimizer_alone(exploration: Exploration) -> set[str]:
    """Return the names that change nothing of the model but its optimizer, and names that only such ones bring."""
    alone = {name for name, effect in exploration.effects.items() if effect.optimizer and not effect.model}
    while True:
        rest = {name for name in alone if exploration.effects[name].names <= alone}
        if rest == alone:
            return alone
        alone = rest


def _chooses_optimizers(exploration: Exploration, name: str) -> bool:
    """Say whether each value of a choice is the name of the optimizer that the model has with it."""
    classes = exploration.effects[name].classes
    return len(classes) > 1 and all(
        str(value).lower() in known_optimizers() and str(value).lower() == made for value, made in classes.items()
    )


def _left_out(name: str, *, is_choice: bool) -> str:
    words = "optimizer" if is_choice else name.rpartition("/")[2].lower()
    instead = next((text for part, text in _INSTEAD.items() if part in words), "")
    return (
        f"hyperparameter {name!r} of the model is not searched: it only sets up the model's optimizer, in whose place "
        f"trials have their own{'; ' if instead else ''}{instead}"
    )


def _without_effect(name: str) -> str:
    return (
        f"hyperparameter {name!r} is searched, but the model was the same when it alone had other values; what "
        "build(hp) does not use itself, such as a number of epochs, belongs in the config"
    )


def dimension_of(parameter: Any, conditions: tuple[Condition, ...]) -> Dimension:
    """Return KerasTuner's hyperparameter, which exists under these conditions, as a dimension."""
    name, default = parameter.name, parameter.default
    is_number, is_whole = hasattr(parameter, "min_value"), type(parameter).__name__ == "Int"
    # Only KerasTuner has steps that multiply and scales that are logarithmic from above.
    if not is_number or parameter.sampling == "reverse_log" or (parameter.sampling == "log" and parameter.step):
        choices = tuple(dict.fromkeys(map(int, parameter.values) if is_whole else parameter.values))
        return Dimension(name, choices, default=default if default in choices else None, conditions=conditions)
    return Dimension(
        name,
        (),
        parameter.min_value,
        parameter.max_value,
        log=parameter.sampling == "log",
        integer=is_whole,
        step=parameter.step,
        default=default,
        conditions=conditions,
    )


def _dimension(name: str, exploration: Exploration) -> Dimension:
    _check_is_declared_once(name, exploration)
    return dimension_of(exploration.homes[name].declared[name][0], conditions_of(name, exploration))


def _check_is_declared_once(name: str, exploration: Exploration) -> None:
    """Refuse a name with two ranges: KerasTuner takes the first for both, and so values that one of them excludes."""
    ways: dict[str, Any] = {}
    for asked in exploration.builds:
        for parameter in asked.declared.get(name, ()):
            config = {key: value for key, value in parameter.get_config().items() if key not in _NOT_THE_RANGE}
            ways.setdefault(f"{type(parameter).__name__}({_listed(config)})", parameter)
    if len(ways) > 1:
        raise ValueError(
            f"A hyperparameter must have the same values wherever build(hp) asks for it, got {name!r} as "
            f"{' and '.join(list(ways)[:2])}. Give each its own name; search a range that depends on another value as "
            "a fraction of that."
        )


_NOT_THE_RANGE: Collection[str] = ("name", "default", "conditions", "ordered")


def _listed(config: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in config.items() if value is not None)
