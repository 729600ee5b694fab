"""Name the files of a run, and refuse folders that cannot be those of a run."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.failures import BadRunDirectory
from pipeline.state.places import check_no_pipes, check_places
from pipeline.state.run_lock import HOLDER, LOCK, held, results_held
from studies.storage.whole_file import is_abandoned, is_leftover

BEST_FILES = (
    *("model.keras", "model.weights.h5", "model.weights.npz"),
    *("refitted.keras", "refitted.weights.h5", "refitted.weights.npz"),
    *("config.json", "losses.png"),
)
BAD_PATHS = {errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A run's two folders: `out` holds results, `state` holds progress and never a result.

    Raises:
        BadRunDirectory: if the two are one folder, or one of them is a file.
        CorruptState: if a pipe or a device is in the place of a file.
    """

    out: Path
    state: Path

    def __post_init__(self) -> None:
        if self.out.resolve() == self.state.resolve():
            raise BadRunDirectory(f"Results and state must have a folder each, got {str(self.out)!r} for both.")
        for folder in (self.out, self.state):
            if os.path.lexists(folder) and not os.path.isdir(folder):
                raise BadRunDirectory(f"{str(folder)!r} must be a folder or not exist, but it is a file.")
        check_no_pipes(self._files())

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
    def front_csv(self) -> Path:
        return self.out / "pareto_front.csv"

    @property
    def best(self) -> Path:
        return self.out / "best"

    @property
    def top(self) -> Path:
        return self.out / "top"

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
    def workers(self) -> Path:
        return self.state / "workers"

    @property
    def submission(self) -> Path:
        return self.jobs / "submission.json"

    @property
    def keras_tuner(self) -> Path:
        return self.state / "keras_tuner"

    @property
    def checkpoints(self) -> Path:
        return self.state / "checkpoints"

    def checkpoint(self, key: int | str) -> Path:
        """Return the file of an interrupted training, by the number of its trial or by its name."""
        return self.checkpoints / f"{f'trial-{key}' if isinstance(key, int) else re.sub(r'[^a-z0-9]+', '-', key)}.npz"

    @property
    def trials_retrained(self) -> Path:
        return self.out / "trials_retrained.jsonl"

    @property
    def identity(self) -> Path:
        return self.state / "identity.json"

    @property
    def task(self) -> Path:
        return self.state / "task.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make both folders, keep other processes out while the block runs, and remove leftovers of torn writes.

        Raises:
            BadRunDirectory: if a folder cannot be made, leads out of the run directory, or holds results that are
                not this run's.
            CorruptState: if something else is in the place of a file or a folder, or may not be written.
            RunLocked: if another process, or another part of this one, holds the lock.
        """
        for folder in (self.out, self.state):
            _make(folder)
        self._check_links()
        with held(self.state), results_held(self.out):
            check_places(self._files(), [self.out, *self._folders(), self.keras_tuner])
            self._check_results()
            self.remove_leftovers()
            yield

    def remove_leftovers(self) -> int:
        """Remove the temporary files of killed processes; return their number."""
        leftovers = [
            Path(folder, name)
            for top in (self.out, self.state)
            for folder, _, names in os.walk(top)
            for name in names
            if is_leftover(name) and is_abandoned(Path(folder, name))
        ]
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
        return len(leftovers)

    def results(self) -> list[Path]:
        """Return the existing results without the summary and the manifest; other files in the folder do not count."""
        files = *self._results(), *self.plots.glob("*.svg"), *self.top.glob("trial-*")
        return sorted(path for path in files if path.is_file() and not is_leftover(path.name))

    def _results(self) -> list[Path]:
        """Return the paths of the results that have the same names in each run, without the summary and manifest."""
        named = [self.resolved_config, self.space, self.trials_csv, self.trials_jsonl, self.trials_retrained, self.html]
        named += [self.range_test / name for name in ("bounds.json", "curves.csv", "loss.png", "loss_delta.png")]
        return [*named, *(self.best / name for name in BEST_FILES)]

    def _files(self) -> list[Path]:
        """Return the paths of all files whose names are the same in each run, but that of the study."""
        of_state = self.fingerprint, self.task, self.identity, self.submission, self.state / LOCK, self.state / HOLDER
        return [self.summary, self.manifest, self.front_csv, *self._results(), *of_state]

    def _folders(self) -> list[Path]:
        of_results = self.range_test, self.best, self.top, self.plots, self.tensorboard
        return [*of_results, self.checkpoints]

    def _check_results(self) -> None:
        """Refuse to overwrite results without a state: they belong to another run, or are somebody's files."""
        if any(path.exists() for path in (self.fingerprint, self.task, self.database)):
            return
        files = [path for path in (self.summary, self.manifest, *self.results()) if path.exists()]
        if files:
            raise BadRunDirectory(
                f"{str(self.out)!r} must not hold results of another run, which would be written over, but it holds "
                f"{files[0].relative_to(self.out)}. Give this run another --out, or its own --state, or move them away."
            )

    def _check_links(self) -> None:
        """Refuse a link inside the folders that leads out of them: the files written there would be outside."""
        for folder in self._folders():
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
