"""List the files of a finished run with their digests, and find those that are missing or are no longer the same."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.failures import CorruptState, ForeignRun
from pipeline.run import Run
from pipeline.state.json_files import write_json
from pipeline.state.run_directory import RunDirectory
from studies.storage.urls import address

OWNER = "run"  # the key of the manifest with what tells the run from others
DIGITS = 16
BLOCK = 2**20  # bytes that are read at a time; a model may be larger than the memory

Entry = dict[str, int | str]


def check_results_owner(run: Run) -> None:
    """Refuse a folder with the results of a run that has another state or another storage.

    Raises:
        ForeignRun: with the remedy.
    """
    owner = _content(run.directory).get(OWNER)
    if owner is not None and owner != identity_of(run):
        raise ForeignRun(
            f"{run.directory.out} must hold the results of one study, but those in it are of a run with another "
            "--state or another storage. Give this run its own --out, or that run's --state."
        )


def identity_of(run: Run) -> str:
    """Return what tells a run from others: a digest of its storage if it is shared, or else a random text in its state.

    The text moves with the folder, and is made once.
    """
    if run.config.study.storage:
        return hashlib.sha256(address(run.storage).encode()).hexdigest()[:DIGITS]
    file = run.directory.identity
    if not file.exists():
        write_json(file, {"identity": secrets.token_hex(DIGITS // 2)})
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["identity"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptState(f"{file} must hold the identity of this run, but it cannot be read. Remove it.") from error


def write_manifest(run: Run, *, summary: str) -> None:
    """Write the name of each result with its size and SHA-256, and those of the summary, which is written last."""
    directory = run.directory
    content = summary.encode()
    entry: Entry = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    files = {_name(directory, path): _entry(path) for path in directory.results()}
    files[_name(directory, directory.summary)] = entry
    write_json(directory.manifest, {OWNER: identity_of(run), "files": files})


def update_manifest(directory: RunDirectory, paths: Iterable[Path]) -> None:
    """Write the entries of these files anew; the others stay, also those of files that are missing."""
    files = _read(directory)
    if files is not None:
        files |= {_name(directory, path): _entry(path) for path in paths}
        write_json(directory.manifest, {**_content(directory), "files": files})


def changed_files(directory: RunDirectory) -> list[str]:
    """Return the files that are missing, or are not what was written; the manifest alone if it cannot be read."""
    files = _read(directory)
    if files is None:
        return [_name(directory, directory.manifest)]
    return [name for name, entry in files.items() if not _is_same(directory.out / name, entry)]


def forget_changed_files(run: Run) -> None:
    """Remove the files of a finished run that are not what was written, and say so; they are made again."""
    directory = run.directory
    if not directory.manifest.exists():
        return
    for name in changed_files(directory):
        path = directory.out / name
        run.note(f"{path} is missing or is not what was written, so it is made again")
        if path.is_file() or path.is_symlink():
            path.unlink()


def _read(directory: RunDirectory) -> dict[str, Entry] | None:
    try:
        files = _content(directory)["files"]
        return files if all({"size_bytes", "sha256"} <= entry.keys() for entry in files.values()) else None
    except (KeyError, TypeError, AttributeError):
        return None


def _content(directory: RunDirectory) -> dict[str, Any]:
    """Return what the manifest holds; nothing if it cannot be read."""
    try:
        content = json.loads(directory.manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _entry(path: Path) -> Entry:
    return {"size_bytes": path.stat().st_size, "sha256": _digest(path)}


def _is_same(path: Path, entry: Entry) -> bool:
    try:
        return path.stat().st_size == entry["size_bytes"] and _digest(path) == entry["sha256"]
    except OSError:
        return False


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _name(directory: RunDirectory, path: Path) -> str:
    return path.relative_to(directory.out).as_posix()
