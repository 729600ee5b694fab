"""Build a user's `build(hp)` under chosen values, and record which hyperparameters it asks for and what it makes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrrt.models import seeded
from studies.dimension import Value
from studies.space.traits import optimizer_traits
from studies.user_code import tried

if TYPE_CHECKING:
    import keras

Build = Callable[[Any], Any]  # KerasTuner's `build(hp)`


@dataclass(frozen=True, slots=True)
class Asked:
    """The hyperparameters of one build.

    Attributes:
        values: of those that exist in this build, by name, in the order in which the build asked.
        declared: KerasTuner's objects of all, by name; those in a scope that is not active are among them.
        scopes: the values of parents, by their names, that open a conditional scope.
        optimizer: the class and the settings of the model's optimizer.
        shapes: of the model's variables.
        error: if the build raised; then it may not have asked for all.
    """

    values: Mapping[str, Value]
    declared: Mapping[str, tuple[Any, ...]]
    scopes: Mapping[str, tuple[Value, ...]]
    optimizer: tuple[str, str] = ("", "")
    shapes: tuple[tuple[int, ...], ...] = ()
    error: BaseException | None = None

    def is_asked_again(self, values: Mapping[str, Value]) -> bool:
        """Say whether a build under these values takes the same way; a value that is not given is the default."""
        return all(values.get(name, self.declared[name][0].default) == value for name, value in self.values.items())

    def may_have(self, name: str) -> bool:
        """Say whether a hyperparameter exists in this build, as far as it came."""
        return name in self.values or self.error is not None


def build_with(build: Build, values: Mapping[str, Value]) -> tuple[Asked, keras.Model | None]:
    """Build a model under some values, and with the defaults of the others; return None in its place if it raises."""
    import keras

    hp = _recorder(values)

    def built() -> keras.Model:
        with seeded(0), contextlib.redirect_stdout(io.StringIO()):  # a build may print its summary
            model = build(hp)
        if not isinstance(model, keras.Model):
            raise TypeError(f"A model builder must return a compiled keras.Model, got {type(model).__name__}.")
        return model

    model, error = tried(built)
    declared: dict[str, tuple[Any, ...]] = {}
    for one in hp.declared:
        declared[one.name] = (*declared.get(one.name, ()), one)
    active = {name: hp.values[name] for name, ones in declared.items() if any(map(hp.is_active, ones))}
    scopes: dict[str, tuple[Value, ...]] = {}
    for condition in (one for scope in (*hp.active_scopes, *hp.inactive_scopes) for one in scope):
        scopes[condition.name] = (*scopes.get(condition.name, ()), *condition.values)
    if model is None:
        return Asked(active, declared, scopes, error=error), None
    shapes = tuple(tuple(variable.shape) for variable in model.variables)
    return Asked(active, declared, scopes, optimizer_traits(model), shapes), model


def _recorder(values: Mapping[str, Value]) -> Any:
    import keras_tuner

    class Recorder(keras_tuner.HyperParameters):
        """KerasTuner's `hp`, which records every question; it forgets a second one of the same name."""

        def __init__(self) -> None:
            super().__init__()
            self.values = dict(values)
            self.declared: list[Any] = []

        def _retrieve(self, hp: Any) -> Any:
            self.declared.append(type(hp).from_config(hp.get_config()))  # its conditions change with the scopes
            return super()._retrieve(hp)

    return Recorder()
