"""Take a run directory for one study, by a fingerprint whose fields show the difference to another study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.config.toml import EXAMPLE_TASK
from pipeline.failures import CorruptState, ForeignRun
from pipeline.state.json_files import as_json, write_json
from pipeline.state.run_directory import RunDirectory

FORMAT = 2  # of the files in a state folder
_ABSENT = "absent"
SET_BACK = "Give this study its own --out and --state, such as runs/2/out and runs/2/state, or set these values back."
OF_EXAMPLE = "Without a config file, a command is about the digits example: name the file of your config after it."
OTHER_VERSION = (
    "Another version of lrrt made it, whose keys are others. Finish that run with its own version, or give this one "
    "its own --out and --state."
)


def take(directory: RunDirectory, fields: Mapping[str, Any]) -> str:
    """Take a run directory for one study; return the SHA-256 of the study's definition.

    Args:
        directory: the run directory; the caller holds its lock.
        fields: the definition of the study, as plain data; its tables are compared key by key.

    Raises:
        ForeignRun: if the directory was taken for other fields, with each difference.
        CorruptState: if the stored fingerprint cannot be read.
    """
    check_owner(directory, fields)
    flat_fields = flat(json.loads(as_json(fields)))
    digest = hashlib.sha256(as_json(flat_fields).encode()).hexdigest()
    if not directory.fingerprint.exists():
        write_json(directory.fingerprint, {"sha256": digest, "fields": flat_fields}, schema_version=FORMAT)
    return digest


def check_owner(directory: RunDirectory, fields: Mapping[str, Any]) -> None:
    """Raise the errors of `take` if the directory was taken for other fields, but do not take it."""
    if directory.fingerprint.exists():
        lines = differences(_stored_fields(directory), fields)
        if lines:
            raise ForeignRun(
                "\n".join([f"{directory.state} belongs to a study that is defined otherwise:", *lines])
                + f"\n{_remedy(lines)}"
            )


def check_version(directory: RunDirectory) -> None:
    """Refuse a run directory that was taken by a version of lrrt which stores studies otherwise.

    Raises:
        ForeignRun: saying so.
        CorruptState: if the stored fingerprint cannot be read.
    """
    if directory.fingerprint.exists():
        _stored_fields(directory)


def check_range_tests(directory: RunDirectory, fields: Mapping[str, Any]) -> None:
    """Refuse range tests if the directory's study searches inside the bounds of others.

    Args:
        directory: the run directory.
        fields: all that the range tests depend on.

    Raises:
        ForeignRun: with each difference.
    """
    if not directory.fingerprint.exists():
        return
    stored = _stored_fields(directory)
    shared = {key: value for key, value in flat(json.loads(as_json(fields))).items() if key in stored}
    lines = differences({key: stored[key] for key in shared}, shared)
    if lines:
        raise ForeignRun(
            "\n".join([f"{directory.state} holds a study inside the bounds of other range tests:", *lines])
            + "\nGive these range tests their own --out and --state, or set these values back."
        )


def differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return a line for each field that differs.

    >>> differences({"study": {"epochs": 3, "seed": 0}}, {"study": {"epochs": 5, "seed": 0}})
    ['  study.epochs: was 3, now 5']
    """
    old, new = (flat(json.loads(as_json(fields))) for fields in (stored, given))
    differing = [key for key in {**old, **new} if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    return [f"  {key}: was {_value_text(old, key)}, now {_value_text(new, key)}" for key in differing]


def have_other_keys(lines: Sequence[str]) -> bool:
    """Say whether all differences are keys that one side lacks, which no config can set back.

    >>> have_other_keys(["  study.folds: was absent, now 0"]), have_other_keys(["  study.seed: was 0, now 1"])
    (True, False)
    """
    return all(f": was {_ABSENT}, now " in line or line.endswith(f", now {_ABSENT}") for line in lines)


def flat(fields: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested tables as one sorted table, whose keys are joined by dots."""
    joined: dict[str, Any] = {}
    for key, value in sorted(fields.items()):
        joined.update(flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value})
    return joined


def _stored_fields(directory: RunDirectory) -> dict[str, Any]:
    try:
        stored = json.loads(directory.fingerprint.read_text(encoding="utf-8"))
        fields, version = dict(stored["fields"]), stored["schema_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptState(
            f"{directory.fingerprint} must hold the study's fingerprint, but it cannot be read ({error!r}). "
            "Give the study a new --state, or put the file back."
        ) from None
    if version != FORMAT:
        raise ForeignRun(
            f"{directory.state} was made by another version of lrrt, whose studies are stored otherwise. Finish that "
            "run with its own version, or give this one its own --out and --state."
        )
    return fields


def _remedy(lines: Sequence[str]) -> str:
    if have_other_keys(lines):
        return OTHER_VERSION
    builder = json.dumps(EXAMPLE_TASK["build_model"])
    is_example = any(line.startswith("  task.build_model: ") and line.endswith(f"now {builder}") for line in lines)
    return OF_EXAMPLE if is_example else SET_BACK


def _value_text(fields: Mapping[str, Any], key: str) -> str:
    return as_json(fields[key]) if key in fields else _ABSENT
