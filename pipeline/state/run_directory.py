"""Knows where a run's files live, and which folders can be a run's."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.state.run_lock import held, is_held
from studies.whole_file import is_leftover

BAD_PATHS = {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}


class BadRunDirectory(ValueError):
    """The folders given cannot be a run's."""


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

        Raises:
            BadRunDirectory: where a folder cannot be made, leads out of the run directory, or holds results that are
                not this run's.
            RunLocked: where another process, or another part of this one, holds it.
        """
        for folder in (self.out, self.state):
            _make(folder)
        self._check_links()
        with held(self.state):
            self._check_results()
            self.remove_leftovers()
            yield

    def is_locked(self) -> bool:
        """Say whether a process works in this run directory."""
        return is_held(self.state)

    def remove_leftovers(self) -> int:
        """Remove temporary files that a killed process left; return how many. Only the holder of the lock may."""
        leftovers = [
            Path(folder, name)
            for top in (self.out, self.state)
            for folder, _, names in os.walk(top)
            for name in names
            if is_leftover(name)
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


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in BAD_PATHS:
            raise
        raise BadRunDirectory(f"{str(folder)!r} must be a folder that can be made: {error.strerror}.") from None
