"""Knows what a stage is told to do: one TOML file, checked as a whole before anything trains."""

import difflib
import json
import math
import os
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic import field_validator as check
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ValidationInfo

from lrrt.reading import MIN_POINTS
from studies.schedules import FAMILIES

# Keras is not imported to check a config. Left out: wrappers (LossScale, Multi) and Lamb, which `keras.optimizers.get`
# of Keras 3.15 does not find by name.
OPTIMIZERS = (
    *("sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lion", "muon"),
    *("adafactor", "schedulefreeadamw"),
)
MAX_COUNT = 1_000_000  # more trials, epochs or steps than this is a slip of the finger
MAX_SEED = 2**32 - 1  # what NumPy and Keras take
ENVIRONMENT = "LRRT_"
LINE_WIDTH = 100  # of the template


class ConfigError(ValueError):
    """The config cannot be used; the text lists every mistake with its place, its law and what was received."""


def _names(kind: str, known: tuple[str, ...]) -> BeforeValidator:
    def law(name: object) -> str | None:
        if isinstance(name, str) and name in known:
            return None
        hint = _did_you_mean(name, known) or f" Known: {_listed(known)}."
        return f"each must be a known {kind}, got {_shown(name)}.{hint}"

    return BeforeValidator(_list_of(law))


def _list_schema(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": "array", "items": item, "minItems": 1, "uniqueItems": True})


def _list_of(law: Callable[[object], str | None]) -> Callable[[object], tuple[Any, ...]]:
    def checked(values: object) -> tuple[Any, ...]:
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"must be a list of at least one, got {_shown(values)}.")
        twice = dict.fromkeys(_shown(value) for value in values if list(values).count(value) > 1)
        complaints = [*filter(None, map(law, values)), *(f"each may stand once, got {value} twice." for value in twice)]
        if complaints:
            raise ValueError(" ".join(complaints))
        return tuple(values)

    return checked


def _batch_size_law(size: object) -> str | None:
    ok = isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= MAX_COUNT
    return None if ok else f"each must be a whole number from 1 to {MAX_COUNT}, got {_shown(size)}."


def _range(values: object) -> tuple[float, float]:
    numbers = [float(v) for v in values if _is_number(v)] if isinstance(values, list | tuple) else []
    if not isinstance(values, list | tuple) or not len(values) == len(numbers) == 2:
        raise ValueError(f"must be two numbers, [low, high], got {_shown(values)}.")
    low, high = numbers
    if not 0 < low < high < math.inf:
        raise ValueError(f"`0 < low < high` must hold, got low={low!r}, high={high!r}.")
    return low, high


def _shown(value: object) -> str:
    return f"{value!r:.80}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reference(text: str) -> str:
    module, _, function = text.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f'must be "module:function", such as "my_task:build_model", got {_shown(text)}.')
    return text


def _storage_url(url: str) -> str:
    if url and not (re.match(r"[a-z][a-z0-9+]*://.", url) and url.isprintable() and " " not in url):
        shown = re.sub(r".*@", "...@", without_password(url))  # a broken URL may hide a password anywhere before the @
        raise ValueError(f'must be "" or a database URL such as "postgresql://user@host/name", got {_shown(shown)}.')
    return url


Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Reference = Annotated[str, AfterValidator(_reference)]
Optimizers = Annotated[tuple[str, ...], _names("optimizer", OPTIMIZERS), _list_schema({"enum": OPTIMIZERS})]
Schedules = Annotated[tuple[str, ...], _names("schedule", tuple(FAMILIES)), _list_schema({"enum": tuple(FAMILIES)})]
BatchSizes = Annotated[
    tuple[int, ...], BeforeValidator(_list_of(_batch_size_law)), _list_schema({"type": "integer", "minimum": 1})
]
LowAndHigh = Annotated[
    tuple[float, float],
    BeforeValidator(_range),
    WithJsonSchema({"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 2}),
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


class TaskConfig(_Table):
    """What is trained: a model and its data."""

    build_model: Reference = Field(description="build_model() or build_model(hp) -> a compiled keras.Model")
    load_data: Reference = Field(description='load_data() -> {"train": .., "validation": .., "test": ..}')


class RangeTestConfig(_Table):
    """The learning-rate range test, which comes first."""

    optimizers: Optimizers = Field(("sgd", "adam"), description="each is tested, and then searched, on its own")
    start_lr: Rate = Field(1e-7, description="the first rate of the ramp")
    end_lr: Rate = Field(10.0, description="the last one; the test stops early where the loss diverges")
    num_steps: Annotated[int, Field(ge=MIN_POINTS, le=MAX_COUNT)] = Field(100, description="steps from start to end")
    repeats: Count = Field(3, description="each with its own initial weights and order of the data")

    @check("end_lr")
    @classmethod
    def _climbs(cls, end_lr: float, info: ValidationInfo) -> float:
        start_lr = info.data.get("start_lr", 0.0)  # absent where it broke its own law, which is told then
        if start_lr >= end_lr:
            raise ValueError(f"`start_lr < end_lr` must hold, got start_lr={start_lr!r}, end_lr={end_lr!r}.")
        return end_lr


class StudyConfig(_Table):
    """The search inside the bounds that the range test found."""

    engine: Literal["optuna", "keras_tuner"] = Field("optuna", description='"optuna" or "keras_tuner"')
    num_trials: Count = Field(40, description="may be raised later: a finished study goes on")
    epochs: Count = Field(20, description="of each trial; its score is the best validation loss among them")
    batch_sizes: BatchSizes = Field((32,), description="the range test uses the first")
    schedules: Schedules = Field(("fixed", "exponential", "triangular"), description=f"any of {', '.join(FAMILIES)}")
    sampler: Literal["tpe", "random"] = Field("tpe", description='"tpe" or "random"')
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(0, description="everything random comes from it")
    storage: Annotated[str, AfterValidator(_storage_url)] = Field(
        "", repr=False, description='"" is SQLite in the state directory; give a database URL in LRRT_STORAGE'
    )
    fallback_range: LowAndHigh = Field(
        (1e-5, 1e-1), description="[low, high], searched where a range test has no answer"
    )


class StageConfig(_Table):
    """One stage: range tests, then a study inside their bounds."""

    task: TaskConfig
    range_test: RangeTestConfig = RangeTestConfig()
    study: StudyConfig = StudyConfig()

    @property
    def range_test_batch_size(self) -> int:
        """Samples a batch in the range test: the first of the study's."""
        return self.study.batch_sizes[0]


EXAMPLE_TASK = {"build_model": "pipeline.digits_example:build_model", "load_data": "pipeline.digits_example:load_data"}
EXAMPLE_STUDY = {"num_trials": 12, "epochs": 12, "schedules": ["fixed", "exponential", "triangular"]}


def load_config(
    path: Path | str, overrides: Mapping[str, object] | None = None, *, environ: Mapping[str, str] | None = None
) -> StageConfig:
    """Read and check a config file.

    The command line stands over the environment, that over the file, and the file over the defaults. The environment
    is LRRT_STORAGE, and LRRT_<TABLE>__<KEY> for any other key, such as LRRT_STUDY__EPOCHS=5; an empty one is not set.

    Args:
        path: a TOML file.
        overrides: what the command line says, by dotted key ("study.num_trials"); None is not said.
        environ: the environment; this process's where it is None.

    Raises:
        ConfigError: listing every mistake.
    """
    text = _read(Path(path))
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} must be TOML, but it cannot be read: {error}") from None
    return _checked(str(path), tables, lambda: _lines(text), overrides, environ)


def builtin_config(
    overrides: Mapping[str, object] | None = None, *, environ: Mapping[str, str] | None = None
) -> StageConfig:
    """Return the config of the built-in digits example; arguments are those of `load_config`."""
    tables = {"task": dict(EXAMPLE_TASK), "range_test": {"optimizers": ["sgd", "adam"]}, "study": dict(EXAMPLE_STUDY)}
    return _checked("the built-in example", tables, dict, overrides, environ)


def template() -> str:
    """Return a commented config file with every key, which runs as it is."""
    head = "# A search by lrrt. Every key but [task] may be left out; the values here are the defaults.\n\n"
    return head + _written(StageConfig(task=TaskConfig(**EXAMPLE_TASK)), commented=True)


def to_toml(config: StageConfig) -> str:
    """Return the config as TOML that `load_config` reads back; a password in the storage URL is left out."""
    return _written(config, commented=False)


def without_password(url: str) -> str:
    """Return a database URL without its password.

    >>> without_password("postgresql://me:secret@host/study?sslpassword=hidden")
    'postgresql://me@host/study'
    """
    if url.startswith("sqlite"):
        return url  # it has a path and no password
    bare = re.sub(r"://([^:]*):.*@", r"://\1@", url)
    address, mark, query = bare.partition("?")
    kept = [part for part in query.split("&") if "password=" not in part.lower()]
    return address + mark * any(kept) + "&".join(kept)


def _written(config: StageConfig, *, commented: bool) -> str:
    tables = []
    for name, table in config:
        rows = [f"# {line}" for line in textwrap.wrap(type(table).__doc__ or "")] if commented else []
        rows.append(f"[{name}]")
        for key, value in table:
            row = f"{key} = {_toml(without_password(value) if key == 'storage' else value)}"
            rows.extend(_commented(row, type(table).model_fields[key].description or "") if commented else [row])
        tables.append("\n".join(rows) + "\n")
    return "\n".join(tables)


def _commented(row: str, comment: str) -> list[str]:
    beside = f"{row:<36}  # {comment}"
    return [beside] if len(beside) <= LINE_WIDTH else [*(f"# {line}" for line in textwrap.wrap(comment)), row]


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)  # printable text, whole and finite numbers are written alike in both


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} must exist. `lrrt init > {path}` writes a template.") from None
    except IsADirectoryError:
        raise ConfigError(f"The config must be a file, got the directory {str(path)!r}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} must be UTF-8, but byte {error.start} is not: {error.reason}.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


Key = tuple[str, ...]
T = TypeVar("T")


def _checked(
    source: str,
    tables: dict[str, Any],
    lines: Callable[[], dict[Key, int]],
    overrides: Mapping[str, object] | None,
    environ: Mapping[str, str] | None,
) -> StageConfig:
    origins: dict[Key, str] = {}
    said = {tuple(key.split(".")): value for key, value in (overrides or {}).items() if value is not None}
    for origin, key, value in (
        *_from_environment(os.environ if environ is None else environ),
        *(("command line", key, value) for key, value in said.items()),
    ):
        table = tables.setdefault(key[0], {})
        if isinstance(table, dict):  # where it is none, that is the mistake that is told
            table[key[1]] = value
            origins[key] = origin
    try:
        return StageConfig.model_validate(tables)
    except ValidationError as error:
        found = lines()
        places = {**{key: f"line {line}" for key, line in found.items()}, **origins}
        details = sorted(error.errors(include_url=False), key=lambda detail: _place(_key(detail), found) or 0)
        mistakes = [_mistake(detail, places) for detail in details]
        number = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigError("\n".join([f"{source} has {number}:", *(f"  {mistake}" for mistake in mistakes)])) from None


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Key, object]]:
    for name, text in sorted(environ.items()):
        table, separator, key = name.removeprefix(ENVIRONMENT).lower().partition("__")
        if name == "LRRT_STORAGE" and text:
            yield name, ("study", "storage"), text
        elif name.startswith(ENVIRONMENT) and separator and text:
            yield name, (table, key), _value(text)


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def _lines(text: str) -> dict[Key, int]:
    """Return the line at which each key and table begins, given text that is TOML.

    tomllib tells no lines; but a statement is the fewest lines that are TOML on their own.
    """
    found: dict[Key, int] = {}
    table: Key = ()
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        statement += f"{line}\n"
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        keys = list(_paths(content))
        if statement.lstrip().startswith("["):
            table, keys = (keys[-1], keys) if keys else ((), [])
            found.update({key: start for key in keys if key not in found})
        else:
            found.update({(*table, *key): start for key in keys})
        statement, start = "", number + 1
    return found


def _paths(content: Mapping[str, Any], above: Key = ()) -> Iterator[Key]:
    for name, value in content.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _paths(value, (*above, name))


def _mistake(detail: ErrorDetails, places: Mapping[Key, str]) -> str:
    key = _key(detail)
    place = _place(key, places)
    name = f"[{key[0]}]" + "".join(f" {part}" for part in key[1:])
    if len(key) == 1 and detail["type"] == "extra_forbidden" and not isinstance(detail["input"], dict):
        name = key[0]
    return f"{f'{place}: ' if place else ''}{name}: {_law(detail, key)}"


def _place(key: Key, places: Mapping[Key, T]) -> T | None:
    """Return the place of a key, or of its table, or of the first key in an unknown table."""
    inside = next((place for other, place in places.items() if other[:1] == key), None)
    return places.get(key) or places.get(key[:1]) or inside


def _key(detail: ErrorDetails) -> Key:
    return tuple(part for part in detail["loc"] if isinstance(part, str))


def _law(detail: ErrorDetails, key: Key) -> str:
    context = detail.get("ctx", {})
    got = f", got {_shown(detail['input'])}."
    match detail["type"]:
        case "extra_forbidden":
            return f"there is no such key.{_right_key(key)}"
        case "missing" if len(key) == 1:
            return "this table is missing; it must give build_model and load_data."
        case "missing":
            return 'this key is missing; it must be "module:function".'
        case "value_error":
            return str(context["error"])
        case "int_type":
            return f"must be a whole number{got}"
        case "float_type":
            return f"must be a number{got}"
        case "string_type":
            return f"must be text in quotes{got}"
        case "model_type" | "model_attributes_type":
            return f"must be a table, [{key[0]}]{got}"
        case "greater_than_equal" | "greater_than" | "less_than_equal":
            sign, limit = {"ge": ">=", "gt": ">", "le": "<="}[next(iter(context))], next(iter(context.values()))
            return f"must be {sign} {limit:g}{got}" if isinstance(limit, float) else f"must be {sign} {limit}{got}"
        case "finite_number":
            return f"must be a finite number{got}"
        case "literal_error":
            known = tuple(re.findall(r"'([^']*)'", str(context["expected"])))
            return f"must be one of {_listed(known)}{got}{_did_you_mean(detail['input'], known)}"
    return f"{detail['msg']}{got}"


def _right_key(key: Key) -> str:
    tables = {name: tuple(field.annotation.model_fields) for name, field in StageConfig.model_fields.items()}  # type: ignore[union-attr]  # each field of a stage is a table
    homes = [name for name, keys in tables.items() if key[-1] in keys and name not in key[:-1]]
    if homes:
        return f" It belongs in [{homes[0]}]."
    known = tables.get(key[0], ()) if len(key) > 1 else tuple(tables)
    return _did_you_mean(key[-1], known) or f" Known: {_listed(known)}."


def _did_you_mean(name: object, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(str(name).lower(), known, n=1)
    return f' Did you mean "{close[0]}"?' if close else ""


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
