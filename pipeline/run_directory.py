"""Knows where a run's files live, and how they stay whole: atomic writes, one writer at a time."""

import errno
import json
import math
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

SCHEMA_VERSION = 1
BAD_PATHS = {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
_PARTIAL = re.compile(r"\..*\.[0-9a-f]{8}\.partial(\.[^.]+)*")


class BadRunDirectory(ValueError):
    """The folders given cannot be a run's."""


class RunLocked(RuntimeError):
    """Another process works in this run directory."""


class CorruptState(RuntimeError):
    """A file in the state directory is not what was written there."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A run's two folders: `out` holds results, `state` holds progress and never a result.

    Raises:
        BadRunDirectory: where the two are one folder, or one of them is a file.
    """

    out: Path
    state: Path

    def __post_init__(self) -> None:
        if self.out.resolve() == self.state.resolve():
            raise BadRunDirectory(f"Results and state must have a folder each, got {str(self.out)!r} for both.")
        for folder in (self.out, self.state):
            if os.path.lexists(folder) and not os.path.isdir(folder):
                raise BadRunDirectory(f"{str(folder)!r} must be a folder or not exist, but it is a file.")

    @property
    def summary(self) -> Path:
        return self.out / "summary.json"

    @property
    def manifest(self) -> Path:
        return self.out / "manifest.json"

    @property
    def resolved_config(self) -> Path:
        return self.out / "config.resolved.toml"

    @property
    def range_test(self) -> Path:
        return self.out / "range_test"

    @property
    def space(self) -> Path:
        return self.out / "space.json"

    @property
    def trials_csv(self) -> Path:
        return self.out / "trials.csv"

    @property
    def trials_jsonl(self) -> Path:
        return self.out / "trials.jsonl"

    @property
    def best(self) -> Path:
        return self.out / "best"

    @property
    def plots(self) -> Path:
        return self.out / "plots"

    @property
    def tensorboard(self) -> Path:
        return self.out / "tensorboard"

    @property
    def html(self) -> Path:
        return self.out / "report.html"

    @property
    def database(self) -> Path:
        return self.state / "study.db"

    @property
    def fingerprint(self) -> Path:
        return self.state / "fingerprint.json"

    @property
    def jobs(self) -> Path:
        return self.state / "jobs"

    @property
    def submission(self) -> Path:
        return self.jobs / "submission.json"

    def kept_range_test(self, optimizer: str | None = None) -> Path:
        """Return where the range tests are kept: those of all, or those of one optimizer until all are gathered."""
        return self.state / "range_test.json" if optimizer is None else self.state / "range_test" / f"{optimizer}.json"

    @property
    def kept_trainings(self) -> Path:
        return self.state / "trainings_again.json"

    @property
    def kept_widenings(self) -> Path:
        return self.state / "widenings.json"

    def checkpoint(self, name: str) -> Path:
        """Return where a training that was interrupted is kept."""
        return self.state / "checkpoints" / f"{name}.npz"

    @property
    def trials_retrained(self) -> Path:
        return self.out / "trials_retrained.jsonl"

    @property
    def kept_task(self) -> Path:
        return self.state / "task.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make both folders, keep other processes out while the block runs, and remove leftovers of torn writes.

        The lock ends with the process that holds it, however that ends.

        Raises:
            BadRunDirectory: where a folder cannot be made, leads out of the run directory, or holds results that are
                not this run's.
            RunLocked: where another process, or another part of this one, holds it.
        """
        for folder in (self.out, self.state):
            _make(folder)
        self._check_links()
        lock = FileLock(self.state / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise RunLocked(self._held_by()) from None
        holder = self.state / "lock_holder.json"
        try:
            write_json(holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": _utc_now()})
            self._check_results()
            self.remove_leftovers()
            yield
        finally:
            try:
                holder.unlink(missing_ok=True)
            finally:
                lock.release()

    def is_locked(self) -> bool:
        """Say whether a process works in this run directory."""
        if not (self.state / "lock").exists():
            return False
        lock = FileLock(self.state / "lock", timeout=0)
        try:
            with lock:
                return False
        except Timeout:
            return True

    def remove_leftovers(self) -> int:
        """Remove temporary files that a killed process left; return how many. Only the holder of the lock may."""
        leftovers = [
            Path(folder, name)
            for top in (self.out, self.state)
            for folder, _, names in os.walk(top)
            for name in names
            if _PARTIAL.fullmatch(name)
        ]
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
        return len(leftovers)

    def results(self) -> list[Path]:
        """Return the results that are there, the summary and the manifest left out; other people's files are not."""
        named = [self.resolved_config, self.space, self.trials_csv, self.trials_jsonl, self.trials_retrained, self.html]
        named += [self.range_test / name for name in ("bounds.json", "curves.csv", "loss.png", "loss_delta.png")]
        named += [self.best / name for name in ("model.keras", "model.weights.h5", "config.json", "losses.png")]
        return sorted(path for path in (*named, *self.plots.glob("*.svg")) if path.is_file())

    def _check_results(self) -> None:
        """Refuse to write over results that no state belongs to: of another run, or somebody's own files."""
        if any(path.exists() for path in (self.fingerprint, self.kept_task, self.kept_range_test())):
            return
        found = [path for path in (self.summary, self.manifest, *self.results()) if path.exists()]
        if found:
            raise BadRunDirectory(
                f"{str(self.out)!r} must not hold results of another run, which would be written over, but it holds "
                f"{found[0].relative_to(self.out)}. Give this run another --out, or its own --state, or move them away."
            )

    def _check_links(self) -> None:
        """Refuse a link inside the folders that leads out of them: what is written there would not be in them."""
        results = self.range_test, self.best, self.plots, self.tensorboard
        inside = *results, self.state / "checkpoints", self.state / "range_test"
        for folder in inside:
            if folder.is_symlink() and not folder.resolve().is_relative_to(folder.parent.resolve()):
                raise BadRunDirectory(
                    f"{str(folder)!r} must lie in the run directory, but it is a link to {str(folder.resolve())!r}."
                )

    def _held_by(self) -> str:
        try:
            holder = json.loads((self.state / "lock_holder.json").read_text(encoding="utf-8"))
            who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, TypeError, KeyError):
            who = "another process"  # it has only just begun, or is about to end
        return f"{self.state} is in use by {who}. Wait for its end, or give this run its own --out and --state."


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in BAD_PATHS:
            raise
        raise BadRunDirectory(f"{str(folder)!r} must be a folder that can be made: {error.strerror}.") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; what is written there takes the place of `path` when the block ends.

    It has the suffixes of `path`, which `model.save` and `savefig` go by. Where the block raises, `path` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffixes = "".join(path.suffixes)
    partial = path.with_name(f".{path.name.removesuffix(suffixes)}.{secrets.token_hex(4)}.partial{suffixes}")
    try:
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
        _to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is either complete or as it was before; its folder is made where it is missing."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text as `write_bytes` writes bytes; line ends stay as they are."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Mapping[str, object], *, schema_version: int = SCHEMA_VERSION) -> None:
    """Write indented JSON with its schema version, numbers that are not finite as null."""
    write_text(path, as_json({"schema_version": schema_version, **content}, indent=2) + "\n")


def as_json(content: object, *, indent: int | None = None) -> str:
    """Return JSON text, on one line where there is no indent; a number that is not finite becomes null.

    Raises:
        TypeError: for anything but plain data: mappings with text keys, lists, tuples, numbers, text, None.

    >>> as_json({"loss": float("nan"), "rates": (0.1, float("inf"))})
    '{"loss": null, "rates": [0.1, null]}'
    """
    return json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
