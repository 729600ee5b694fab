"""Check lists and tables of a config: optimizers, schedules, batch sizes, class weights, first configs."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, WithJsonSchema

from lrrt.words import did_you_mean
from pipeline.config.number_values import MAX_COUNT
from pipeline.config.values import NONE, is_number, listed, shown
from studies.objective import Direction, check_names
from studies.schedules.families import FAMILIES

# The names that `lrrt.range_test` takes, which leaves out wrappers; a list, because a check must not import Keras.
OPTIMIZERS = (
    *("sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lamb", "lion"),
    *("muon", "adafactor", "schedulefreeadamw"),
)
WITHOUT_MOMENTUM = ("adagrad", "adadelta", "ftrl", "adafactor")
BALANCED = "balanced"  # of class weights: as scikit-learn's, by how rare each class is


def _names(kind: str, known: tuple[str, ...]) -> BeforeValidator:
    def law(name: object) -> str | None:
        if isinstance(name, str) and name in known:
            return None
        hint = did_you_mean(name, known) or f" Known: {listed(known)}."
        return f"each must be a known {kind}, got {shown(name)}.{hint}"

    return BeforeValidator(_list_of(law))


def _list_schema(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": "array", "items": item, "minItems": 1, "uniqueItems": True})


def _list_of(law: Callable[[object], str | None]) -> Callable[[object], tuple[Any, ...]]:
    def checked(values: object) -> tuple[Any, ...]:
        if not isinstance(values, list | tuple) or not values:
            remedy = f" Put it in brackets: [{shown(values)}]." if isinstance(values, str | int | float) else ""
            raise ValueError(f"must be a list of at least one, got {shown(values)}.{remedy}")
        twice = dict.fromkeys(shown(value) for value in values if list(values).count(value) > 1)
        complaints = [*filter(None, map(law, values)), *(f"each may stand once, got {value} twice." for value in twice)]
        if complaints:
            raise ValueError(" ".join(complaints))
        return tuple(values)

    return checked


def _batch_size_law(size: object) -> str | None:
    ok = isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= MAX_COUNT
    return None if ok else f"each must be a whole number from 1 to {MAX_COUNT}, got {shown(size)}."


def _class_weight(value: object) -> dict[int, float] | str | None:
    if value in (None, NONE):
        return None
    if value == BALANCED:
        return BALANCED
    weights = dict(value) if isinstance(value, Mapping) else {}
    are_classes = all(re.fullmatch(r"\d+", str(number)) for number in weights)
    if not weights or not are_classes or not all(is_number(one) and 0 < one < math.inf for one in weights.values()):
        raise ValueError(
            f'must be "none", "{BALANCED}", or a table of class number to positive weight, such as '
            f"{{0 = 1.0, 1 = 5.0}}, got {shown(value)}."
        )
    return {int(number): float(weight) for number, weight in weights.items()}


def _first_configs(values: object) -> tuple[dict[str, Any], ...]:
    checked: list[dict[str, Any]] = []
    for table in list(values) if isinstance(values, list | tuple) else [values]:
        if not isinstance(table, Mapping) or not table:
            raise ValueError(f"must be tables of values by name, such as {{lr = 0.01}}, got {shown(table)}.")
        for name, value in table.items():
            if not isinstance(value, bool | str) and not (is_number(value) and math.isfinite(value)):
                law = "each value must be a finite number, text, true or false"
                raise ValueError(f"{law}, got {name} = {shown(value)}.")
        checked.append(dict(table))
    return tuple(checked)


def _objective(value: object) -> str | tuple[str, ...]:
    given = list(value) if isinstance(value, list | tuple) else [value]
    names = [name for name in given if isinstance(name, str) and name.isprintable() and name.strip()]
    if len(names) < len(given):
        raise ValueError(f'must name "val_loss" or a compiled metric, or list several, got {shown(value)}.')
    check_names(names)
    return value if isinstance(value, str) else tuple(names)


def _directions(value: object) -> str | tuple[str, ...]:
    given = list(value) if isinstance(value, list | tuple) else [value]
    if not given or any(one not in ("auto", *get_args(Direction)) for one in given):
        raise ValueError(f'must be "auto", "min" or "max", or a list with one for each objective, got {shown(value)}.')
    return value if isinstance(value, str) else tuple(map(str, given))


def _sbatch_options(values: object) -> tuple[str, ...]:
    options = tuple(values) if isinstance(values, list | tuple) else (values,)
    for option in options:
        if not (isinstance(option, str) and option.isprintable() and re.match(r"--?[a-zA-Z]", option)):
            raise ValueError(f'must be a list of sbatch options, such as ["--mem=16G"], got {shown(option)}.')
    return options


Optimizers = Annotated[tuple[str, ...], _names("optimizer", OPTIMIZERS), _list_schema({"enum": OPTIMIZERS})]
Schedules = Annotated[tuple[str, ...], _names("schedule", tuple(FAMILIES)), _list_schema({"enum": tuple(FAMILIES)})]
BatchSizes = Annotated[
    tuple[int, ...], BeforeValidator(_list_of(_batch_size_law)), _list_schema({"type": "integer", "minimum": 1})
]
SbatchOptions = Annotated[
    tuple[str, ...],
    BeforeValidator(_sbatch_options),
    WithJsonSchema({"type": "array", "items": {"type": "string", "pattern": "^--?[a-zA-Z]"}}),
]
FirstConfigs = Annotated[
    tuple[Mapping[str, int | float | str | bool], ...],
    BeforeValidator(_first_configs),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean"]}},
        }
    ),
]
ClassWeight = Annotated[
    Mapping[int, float] | Literal["balanced"] | None,
    BeforeValidator(_class_weight),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [NONE, BALANCED]},
                {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}},
            ]
        }
    ),
]
_NAME = {"type": "string", "minLength": 1}
ObjectiveNames = Annotated[
    str | tuple[str, ...],
    BeforeValidator(_objective),
    WithJsonSchema({"anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1, "uniqueItems": True}]}),
]
_DIRECTION = {"enum": ["auto", *get_args(Direction)]}
Directions = Annotated[
    str | tuple[str, ...],
    BeforeValidator(_directions),
    WithJsonSchema({"anyOf": [_DIRECTION, {"type": "array", "items": _DIRECTION, "minItems": 1}]}),
]
