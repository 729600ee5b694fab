"""Read a config from TOML, the environment and the command line, and write it."""

import json
import os
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.given_file import text_of
from pipeline.config.messages import Key, lines_of, mistakes_text
from pipeline.config.storage_url import source_without_password, without_password
from pipeline.config.tables import StageConfig, TaskConfig
from pipeline.config.values import NONE
from pipeline.failures import ConfigError

ENVIRONMENT = "LRRT_"
LINE_WIDTH = 100  # of the template
WITHOUT_PASSWORD = {"storage": without_password, "warm_start": source_without_password}
IN_QUOTES = ". Text must stand in quotes"
OF_A_TASK = "A config names the functions of a task: `lrrt init > search.toml` writes one"

EXAMPLE_TASK = {"build_model": "pipeline.digits_example:build_model", "load_data": "pipeline.digits_example:load_data"}
EXAMPLE_STUDY = {"num_trials": 12, "epochs": 12, "schedules": ["fixed", "exponential", "triangular"]}


def load_config(
    path: Path | str, overrides: Mapping[str, object] | None = None, *, environ: Mapping[str, str] | None = None
) -> StageConfig:
    """Read and check a config file.

    The command line has priority over the environment, the environment over the file, and the file over the defaults.
    The variables are LRRT_STORAGE, and LRRT_<TABLE>__<KEY> for any other key, such as LRRT_STUDY__EPOCHS=5. An empty
    variable counts as not set.

    Args:
        path: a TOML file.
        overrides: the values of the command line, by dotted key ("study.num_trials"); None is no value.
        environ: the environment; None for that of this process.

    Raises:
        ConfigError: with every mistake.
    """
    text = _read(Path(path))
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        remedy = f". {OF_A_TASK}" if Path(path).suffix == ".py" else IN_QUOTES if "Invalid value" in str(error) else ""
        raise ConfigError(f"{path} must be TOML, but it cannot be read: {error}{remedy}") from None
    return _checked(str(path), tables, lambda: lines_of(text), overrides, environ)


def builtin_config(
    overrides: Mapping[str, object] | None = None, *, environ: Mapping[str, str] | None = None
) -> StageConfig:
    """Return the config of the built-in digits example; arguments are those of `load_config`.

    Raises:
        ConfigError: with every mistake.
    """
    tables = {"task": dict(EXAMPLE_TASK), "range_test": {"optimizers": ["sgd", "adam"]}, "study": dict(EXAMPLE_STUDY)}
    return _checked("the built-in example", tables, dict, overrides, environ)


def template() -> str:
    """Return a commented config file with every key, which runs unchanged."""
    head = "# A search by lrrt. Every key but [task] may be left out; the values here are the defaults.\n\n"
    return head + _written(StageConfig(task=TaskConfig.model_validate(EXAMPLE_TASK)), commented=True)


def to_toml(config: StageConfig) -> str:
    """Return the config as TOML for `load_config`; a password in the storage URL is left out."""
    return _written(config, commented=False)


def _written(config: StageConfig, *, commented: bool) -> str:
    tables = []
    for name, table in config:
        rows = [f"# {line}" for line in textwrap.wrap(type(table).__doc__ or "", LINE_WIDTH - 2)] if commented else []
        rows.append(f"[{name}]")
        for key, value in table:
            row = f"{key} = {_toml(WITHOUT_PASSWORD[key](value) if key in WITHOUT_PASSWORD else value)}"
            rows.extend(_commented(row, type(table).model_fields[key].description or "") if commented else [row])
        tables.append("\n".join(rows) + "\n")
    return "\n".join(tables)


def _commented(row: str, comment: str) -> list[str]:
    beside = f"{row:<36}  # {comment}"
    return (
        [beside]
        if len(beside) <= LINE_WIDTH
        else [*(f"# {line}" for line in textwrap.wrap(comment, LINE_WIDTH - 2)), row]
    )


def _toml(value: object) -> str:
    if value is None:
        return json.dumps(NONE)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name} = {_toml(item)}' for name, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)  # JSON and TOML agree on printable text and on finite numbers


def _read(path: Path) -> str:
    try:
        return text_of(path)
    except FileNotFoundError:
        raise ConfigError(f"{path} must exist. `lrrt init > {path}` writes a template.") from None
    except IsADirectoryError:
        raise ConfigError(f"The config must be a file, got the directory {str(path)!r}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} must be UTF-8, but byte {error.start} is not: {error.reason}.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def _checked(
    source: str,
    tables: dict[str, Any],
    lines: Callable[[], dict[Key, int]],
    overrides: Mapping[str, object] | None,
    environ: Mapping[str, str] | None,
) -> StageConfig:
    origins: dict[Key, str] = {}
    from_command_line = {tuple(key.split(".")): value for key, value in (overrides or {}).items() if value is not None}
    for origin, key, value in (
        *_from_environment(os.environ if environ is None else environ),
        *(("command line", key, value) for key, value in from_command_line.items()),
    ):
        table = tables.setdefault(key[0], {})
        if isinstance(table, dict):  # otherwise the check reports that it is no table
            table[key[1]] = value
            origins[key] = origin
    try:
        try:
            return StageConfig.model_validate(tables)
        except ValidationError as error:
            raise ConfigError(mistakes_text(error, source, lines(), origins)) from None
    except RecursionError:
        raise ConfigError(f"{source} must have tables of values, but its tables are nested too deeply.") from None


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
    except (ValueError, RecursionError):
        return text
