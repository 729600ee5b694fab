"""List the files of a finished run with their digests, and find those that are missing or are no longer the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from pipeline.run import Run
from pipeline.state.json_files import write_json
from pipeline.state.run_directory import RunDirectory

BLOCK = 2**20  # bytes that are read at a time; a model may be larger than the memory

Entry = dict[str, int | str]


def write_manifest(directory: RunDirectory, *, summary: str) -> None:
    """Write the name of each result with its size and SHA-256, and those of the summary, which is written last."""
    content = summary.encode()
    own = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    files = {_name(directory, path): _entry(path) for path in directory.results()}
    write_json(directory.manifest, {"files": {**files, _name(directory, directory.summary): own}})


def update_manifest(directory: RunDirectory, paths: Iterable[Path]) -> None:
    """Write the entries of these files anew; the others stay, also those of files that are missing."""
    files = _read(directory)
    if files is not None:
        write_json(directory.manifest, {"files": {**files, **{_name(directory, path): _entry(path) for path in paths}}})


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
        files = json.loads(directory.manifest.read_text(encoding="utf-8"))["files"]
        return files if all({"size_bytes", "sha256"} <= entry.keys() for entry in files.values()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


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
