"""Write the JSON files of a run: plain data with a schema version, and no number that is not finite."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from lrrt.plain import finite
from studies.storage.whole_file import write_text

SCHEMA_VERSION = 1
BEYOND_ASCII = re.compile("[^\x00-\x7e]")  # JSON itself escapes what ASCII has that is not shown, but for DEL


def write_json(path: Path, content: Mapping[str, object], *, schema_version: int = SCHEMA_VERSION) -> None:
    """Write indented JSON with its schema version; a number that is not finite becomes null."""
    write_text(path, json_text(content, schema_version=schema_version))


def json_text(content: Mapping[str, object], *, schema_version: int = SCHEMA_VERSION) -> str:
    """Return what `write_json` writes."""
    return as_json({"schema_version": schema_version, **content}, indent=2) + "\n"


def as_json(content: object, *, indent: int | None = None) -> str:
    """Return JSON text, on one line if there is no indent; a number that is not finite becomes null.

    Letters that are not shown, or that turn the line around, are escaped; other letters of any script stay readable.

    Raises:
        TypeError: for anything but plain data: mappings with text keys, lists, tuples, numbers, text, None.

    >>> as_json({"loss": float("nan"), "rates": (0.1, float("inf"))})
    '{"loss": null, "rates": [0.1, null]}'
    """
    text = json.dumps(finite(content), indent=indent, ensure_ascii=False, allow_nan=False)
    return BEYOND_ASCII.sub(lambda letter: letter[0] if letter[0].isprintable() else json.dumps(letter[0])[1:-1], text)
