"""Write the JSON files of a run: plain data with a schema version, and no number that is not finite."""

import json
from collections.abc import Mapping
from pathlib import Path

from lrrt.plain import finite
from studies.storage.whole_file import write_text

SCHEMA_VERSION = 1


def write_json(path: Path, content: Mapping[str, object], *, schema_version: int = SCHEMA_VERSION) -> None:
    """Write indented JSON with its schema version; a number that is not finite becomes null."""
    write_text(path, json_text(content, schema_version=schema_version))


def json_text(content: Mapping[str, object], *, schema_version: int = SCHEMA_VERSION) -> str:
    """Return what `write_json` writes."""
    return as_json({"schema_version": schema_version, **content}, indent=2) + "\n"


def as_json(content: object, *, indent: int | None = None) -> str:
    """Return JSON text, on one line if there is no indent; a number that is not finite becomes null.

    Raises:
        TypeError: for anything but plain data: mappings with text keys, lists, tuples, numbers, text, None.

    >>> as_json({"loss": float("nan"), "rates": (0.1, float("inf"))})
    '{"loss": null, "rates": [0.1, null]}'
    """
    return json.dumps(finite(content), indent=indent, ensure_ascii=False, allow_nan=False)
