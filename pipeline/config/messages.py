"""Report the mistakes in a config: all at once, each with its place, its law and a hint."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lrrt.words import did_you_mean
from pipeline.config.tables import StageConfig
from pipeline.config.values import MistakenKey, listed, shown

SHORT = 12  # keys of a table that a line can list

Key = tuple[str, ...]
T = TypeVar("T")


def mistakes_text(error: ValidationError, source: str, lines: Mapping[Key, int], origins: Mapping[Key, str]) -> str:
    """Return every mistake with its place, in the order of the file.

    Args:
        error: the error of the check.
        source: the name of the config, such as the path of a file.
        lines: the line of each key in the file; see `lines_of`.
        origins: the origin of each key that replaces one of the file, such as the name of a variable.
    """
    places = {**{key: f"line {line}" for key, line in lines.items()}, **origins}
    details = sorted(error.errors(include_url=False), key=lambda detail: _place(_key(detail), lines) or 0)
    mistakes = [_mistake(detail, places) for detail in details]
    number = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return "\n".join([f"{source} has {number}:", *(f"  {mistake}" for mistake in mistakes)])


def lines_of(text: str) -> dict[Key, int]:
    """Return the line at which each key and table begins; the text must be TOML.

    tomllib reports no lines, but a statement is the smallest number of lines that are valid TOML alone.
    """
    first_lines: dict[Key, int] = {}
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
            first_lines.update({key: start for key in keys if key not in first_lines})
        else:
            first_lines.update({(*table, *key): start for key in keys})
        statement, start = "", number + 1
    return first_lines


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
    """Return the place of a key, or else of its table, or of the first key in an unknown table."""
    inside = next((place for other, place in places.items() if other[:1] == key), None)
    return places.get(key) or places.get(key[:1]) or inside


def _key(detail: ErrorDetails) -> Key:
    key = tuple(part for part in detail["loc"] if isinstance(part, str))
    error = detail.get("ctx", {}).get("error")
    return (*key, error.key) if isinstance(error, MistakenKey) else key


def _law(detail: ErrorDetails, key: Key) -> str:
    context = detail.get("ctx", {})
    got = f", got {shown(detail['input'])}."
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
        case "bool_type":
            return f"must be true or false{got}"
        case "string_type":
            return f"must be text in quotes{got}"
        case "model_type" | "model_attributes_type":
            return f"must be a table, [{key[0]}]{got}"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            sign, limit = (
                {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}[next(iter(context))],
                next(iter(context.values())),
            )
            return f"must be {sign} {limit:g}{got}" if isinstance(limit, float) else f"must be {sign} {limit}{got}"
        case "finite_number":
            return f"must be a finite number{got}"
        case "literal_error":
            known = tuple(re.findall(r"'([^']*)'", str(context["expected"])))
            return f"must be one of {listed(known)}{got}{did_you_mean(detail['input'], known)}"
    return f"{detail['msg']}{got}"


def _right_key(key: Key) -> str:
    tables = {name: tuple(field.annotation.model_fields) for name, field in StageConfig.model_fields.items()}  # type: ignore[union-attr]  # each field of a stage is a table
    homes = [name for name, keys in tables.items() if key[-1] in keys and name not in key[:-1]]
    if homes:
        return f" It belongs in [{homes[0]}]."
    known = tables.get(key[0], ()) if len(key) > 1 else tuple(tables)
    hint = did_you_mean(key[-1], known)
    if hint:
        return hint
    for name, keys in tables.items() if len(key) > 1 else ():
        if elsewhere := did_you_mean(key[-1], keys):
            return f"{elsewhere.removesuffix('?')} in [{name}]?"
    return f" Known: {listed(known)}." if len(known) <= SHORT else " `lrrt init` prints all keys, with comments."
