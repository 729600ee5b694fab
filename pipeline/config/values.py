"""Check each kind of value in a config against its law, and report a value that breaks it."""

import importlib.util
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from lrrt.words import did_you_mean
from pipeline.config.storage_url import is_storage_url, without_password
from studies.engines.keras_tuner_engine import SAMPLERS as KERAS_TUNER_SAMPLERS
from studies.engines.optuna_samplers import SAMPLERS as OPTUNA_SAMPLERS
from studies.engines.optuna_samplers import check_sampler
from studies.objective import Direction, check_names
from studies.schedules.families import FAMILIES

# The names that `lrrt.range_test` takes, which leaves out wrappers; a list, because a check must not import Keras.
OPTIMIZERS = (
    *("sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lamb", "lion"),
    *("muon", "adafactor", "schedulefreeadamw"),
)
WITHOUT_MOMENTUM = ("adagrad", "adadelta", "ftrl", "adafactor")
SAMPLERS = tuple(dict.fromkeys((*OPTUNA_SAMPLERS, *KERAS_TUNER_SAMPLERS)))
SAMPLERS_OF = {"optuna": OPTUNA_SAMPLERS, "keras_tuner": KERAS_TUNER_SAMPLERS}
NONE = "none"  # the value of a key without a value, because TOML has no word for it
BALANCED = "balanced"  # of class weights: as scikit-learn's, by how rare each class is
MAX_COUNT = 1_000_000  # more trials, epochs or steps must be a typing error
MAX_SEED = 2**32 - 1  # the largest that NumPy and Keras take


class MistakenKey(ValueError):
    """A key of a table breaks a law together with keys of another table."""

    def __init__(self, key: str, law: str) -> None:
        super().__init__(law)
        self.key = key


def shown(value: object) -> str:
    """Return a value for a message: not too long, and without the user and the password of a URL.

    >>> shown("postgresql://me:top@SECRET@host/db?password=hidden")
    "'postgresql://...@host/db?password=...'"
    """
    text = re.sub(r"://.*@", "://...@", repr(value), flags=re.DOTALL)  # it may be cut off before the @
    text = re.sub(r"\b[\w.+-]+:[^/@\s'\"][^@\s'\"]*@", "...@", text)  # as where the scheme is missing
    return re.sub(r"(?i)((?:password|passwd|pwd|secret|token)\s*=)[^&\s'\"]+", r"\1...", text)[:80]


def listed(names: Iterable[str]) -> str:
    """Return names in quotes, with commas."""
    return ", ".join(f'"{name}"' for name in names)


def _names(kind: str, known: tuple[str, ...]) -> BeforeValidator:
    def law(name: object) -> str | None:
        if isinstance(name, str) and name in known:
            return None
        hint = did_you_mean(name, known) or f" Known: {listed(known)}."
        return f"each must be a known {kind}, got {shown(name)}.{hint}"

    return BeforeValidator(_list_of(law))


def _or_none(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"const": NONE}]}


def _list_schema(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": "array", "items": item, "minItems": 1, "uniqueItems": True})


def _list_of(law: Callable[[object], str | None]) -> Callable[[object], tuple[Any, ...]]:
    def checked(values: object) -> tuple[Any, ...]:
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"must be a list of at least one, got {shown(values)}.")
        twice = dict.fromkeys(shown(value) for value in values if list(values).count(value) > 1)
        complaints = [*filter(None, map(law, values)), *(f"each may stand once, got {value} twice." for value in twice)]
        if complaints:
            raise ValueError(" ".join(complaints))
        return tuple(values)

    return checked


def _batch_size_law(size: object) -> str | None:
    ok = isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= MAX_COUNT
    return None if ok else f"each must be a whole number from 1 to {MAX_COUNT}, got {shown(size)}."


def _range(values: object) -> tuple[float, float]:
    numbers = [float(v) for v in values if _is_number(v)] if isinstance(values, list | tuple) else []
    if not isinstance(values, list | tuple) or not len(values) == len(numbers) == 2:
        raise ValueError(f"must be two numbers, [low, high], got {shown(values)}.")
    low, high = numbers
    if not 0 < low < high < math.inf:
        raise ValueError(f"`0 < low < high` must hold, got low={low!r}, high={high!r}.")
    return low, high


def _range_or_none(values: object) -> tuple[float, float] | None:
    return None if values in (None, NONE) else _range(values)


def _momentum_or_none(values: object) -> tuple[float, float] | None:
    bounds = _range_or_none(values)
    if bounds and bounds[1] >= 1:
        raise ValueError(f"`0 < low < high < 1` must hold, got low={bounds[0]!r}, high={bounds[1]!r}.")
    return bounds


def _patience(value: object) -> float | None:
    if value in (None, NONE):
        return None
    if not _is_number(value) or not 0 <= value <= 1:  # type: ignore[operator]  # a number, by the first condition
        raise ValueError(f'must be a part of the epochs, from 0 to 1, or "none", got {shown(value)}.')
    return float(value) or None  # type: ignore[arg-type]


def _gap(value: object) -> float | None:
    if value in (None, NONE):
        return None
    if not _is_number(value) or not 0 <= value < math.inf:  # type: ignore[operator]
        raise ValueError(f'must be a number >= 0 or "none", got {shown(value)}.')
    return float(value)  # type: ignore[arg-type]


def _class_weight(value: object) -> dict[int, float] | str | None:
    if value in (None, NONE):
        return None
    if value == BALANCED:
        return BALANCED
    weights = dict(value) if isinstance(value, Mapping) else {}
    are_classes = all(re.fullmatch(r"\d+", str(number)) for number in weights)
    if not weights or not are_classes or not all(_is_number(one) and 0 < one < math.inf for one in weights.values()):
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
            if not isinstance(value, bool | str) and not (_is_number(value) and math.isfinite(value)):
                law = "each value must be a finite number, text, true or false"
                raise ValueError(f"{law}, got {name} = {shown(value)}.")
        checked.append(dict(table))
    return tuple(checked)


def _num_folds(number: int) -> int:
    if number == 1:
        raise ValueError("must be 0, for none, or 2 and more, got 1.")
    return number


def _metric(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError(f'must name "loss" or a compiled metric, got {shown(name)}.')
    return name


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 3h50m, 90s, 1.5h or 600 (seconds).

    Raises:
        ValueError: for another text, or a duration of nothing.

    >>> seconds_of("3h50m"), seconds_of("90"), seconds_of("1.5h")
    (13800.0, 90.0, 5400.0)
    """
    parts = re.fullmatch(r"(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s?)?", text)
    try:
        hours, minutes, rest = (float(part or 0) for part in parts.groups())  # type: ignore[union-attr]  # caught below
    except (AttributeError, ValueError):
        raise ValueError(f"must be a duration such as 3h50m, 90m or 600s, got {shown(text)}.") from None
    total = 3600 * hours + 60 * minutes + rest
    if total <= 0:
        raise ValueError(f"must be longer than nothing, got {shown(text)}.")
    return total


def _duration_or_none(text: str) -> str:
    if text != NONE:
        seconds_of(text)
    return text


def _number_or_none(value: object) -> float | None:
    if value in (None, NONE):
        return None
    if not _is_number(value) or not math.isfinite(value):  # type: ignore[arg-type]  # a number, by the first condition
        raise ValueError(f'must be a number or "none", got {shown(value)}.')
    return float(value)  # type: ignore[arg-type]


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


def sampler_law(engine: object, sampler: str) -> None:
    """Refuse a sampler that the engine does not have, or that needs a package which is not installed.

    Raises:
        ValueError: with the samplers of the engine.
    """
    known = SAMPLERS_OF.get(str(engine), SAMPLERS)  # an engine that broke its law is reported separately
    if sampler not in known:
        others = [f'"{name}"' for name, samplers in SAMPLERS_OF.items() if sampler in samplers]
        raise ValueError(f'must be one of {listed(known)} with engine "{engine}", got {sampler!r} of {others[0]}.')
    if engine == "optuna":
        try:
            check_sampler(sampler)
        except ImportError as error:
            raise ValueError(str(error)) from None


def _reference(text: str) -> str:
    module, _, function = text.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f'must be "module:function", such as "my_task:build_model", got {shown(text)}.')
    return text


def _storage_url(url: str) -> str:
    if url and not is_storage_url(url):
        raise ValueError(
            f'must be "" or a database URL such as "postgresql://user@host/name", got {without_password(url)!r:.80}. '
            "In a name or a password, write %20 for a space, %2F for /, %3A for :, %3F for ? and %40 for @."
        )
    return url


def tensorboard_law(is_wanted: bool) -> None:
    """Refuse logs for TensorBoard if its package is not installed.

    Raises:
        ValueError: with the remedy.
    """
    if is_wanted and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("true needs the package tensorboard, which is not installed: pip install 'lrrt[tensorboard]'.")


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"must be text on one line, got {shown(text)}.")
    return text


def _job_time(text: str) -> str:
    if text and not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", text):
        raise ValueError(
            f'must be "" or a time as Slurm writes it, such as "4:00:00" or "1-12:00:00", got {shown(text)}.'
        )
    return text


def _sbatch_options(values: object) -> tuple[str, ...]:
    options = tuple(values) if isinstance(values, list | tuple) else (values,)
    for option in options:
        if not (isinstance(option, str) and option.isprintable() and re.match(r"--?[a-zA-Z]", option)):
            raise ValueError(f'must be a list of sbatch options, such as ["--mem=16G"], got {shown(option)}.')
    return options


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Reference = Annotated[str, AfterValidator(_reference)]
OptionalReference = Annotated[str, AfterValidator(lambda text: _reference(text) if text else text)]
StorageUrl = Annotated[str, AfterValidator(_storage_url)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Optimizers = Annotated[tuple[str, ...], _names("optimizer", OPTIMIZERS), _list_schema({"enum": OPTIMIZERS})]
Schedules = Annotated[tuple[str, ...], _names("schedule", tuple(FAMILIES)), _list_schema({"enum": tuple(FAMILIES)})]
BatchSizes = Annotated[
    tuple[int, ...], BeforeValidator(_list_of(_batch_size_law)), _list_schema({"type": "integer", "minimum": 1})
]
_LOW_AND_HIGH = {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 2}
LowAndHigh = Annotated[tuple[float, float], BeforeValidator(_range), WithJsonSchema(_LOW_AND_HIGH)]
RangeOrNone = Annotated[
    tuple[float, float] | None, BeforeValidator(_range_or_none), WithJsonSchema(_or_none(_LOW_AND_HIGH))
]
OneLine = Annotated[str, AfterValidator(_one_line)]
JobTime = Annotated[str, AfterValidator(_job_time)]
SbatchOptions = Annotated[
    tuple[str, ...],
    BeforeValidator(_sbatch_options),
    WithJsonSchema({"type": "array", "items": {"type": "string", "pattern": "^--?[a-zA-Z]"}}),
]
MomentumOrNone = Annotated[
    tuple[float, float] | None, BeforeValidator(_momentum_or_none), WithJsonSchema(_or_none(_LOW_AND_HIGH))
]
Patience = Annotated[
    float | None,
    BeforeValidator(_patience),
    WithJsonSchema(_or_none({"type": "number", "minimum": 0, "maximum": 1})),
]
Gap = Annotated[float | None, BeforeValidator(_gap), WithJsonSchema(_or_none({"type": "number", "minimum": 0}))]
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
DurationOrNone = Annotated[str, AfterValidator(_duration_or_none)]
NumberOrNone = Annotated[float | None, BeforeValidator(_number_or_none), WithJsonSchema(_or_none({"type": "number"}))]
Fraction = Annotated[float, Field(gt=0, lt=1)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT)]
NumFolds = Annotated[int, Field(ge=0, le=MAX_COUNT), AfterValidator(_num_folds)]
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
Metric = Annotated[str, AfterValidator(_metric)]
