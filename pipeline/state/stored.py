"""Knows what the state folder keeps besides the study: range tests, the best trial's weights, where a trial stands."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrrt import RangeTestResult
from pipeline.state.json_files import write_json
from pipeline.state.run_directory import CorruptState, RunDirectory
from pipeline.task.fingerprints import Fields, TaskPrint
from studies import BrokenCheckpoint, Trained, TrialCheckpoint, TrialResult
from studies.ranking import top_of
from studies.storage.whole_file import replacing

if TYPE_CHECKING:
    from lrrt.variables import Values


CHECKPOINT_EVERY_S = 60.0  # what a killed process may lose of a long training; writing it takes a fraction of a second


@dataclass(frozen=True, slots=True)
class Training:
    """A further training of a trial's values, named after what it was on: "seed 1", "fold 2 of 5"."""

    name: str
    result: TrialResult

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; the number is the trial's."""
        return {"training": self.name, **self.result.as_dict()}


@dataclass(frozen=True, slots=True)
class Widening:
    """The search went on in wider bounds, because trial number `trial` was the best when `num_ended` had ended."""

    trial: int
    num_ended: int


@dataclass(frozen=True, slots=True)
class KeptRangeTest:
    """Range tests, and all that they depend on; None where the bounds were given. Parts tell how long they took."""

    result: RangeTestResult
    fields: Fields | None
    seconds: float = 0.0


def keep_range_test(directory: RunDirectory, kept: KeptRangeTest, *, optimizer: str | None = None) -> Path:
    """Keep the range tests, so that a run that goes on need not repeat them; return the file.

    Args:
        directory: whose.
        kept: the range tests.
        optimizer: of which they are a part; others may be tested elsewhere at the same time.
    """
    file = directory.kept_range_test(optimizer)
    write_json(file, {"fields": kept.fields, "seconds": kept.seconds, "range_test": kept.result.as_dict()})
    return file


def kept_range_test(directory: RunDirectory, optimizer: str | None = None) -> KeptRangeTest | None:
    """Read the range tests that were kept, of all optimizers or of one; None where they have not ended.

    Raises:
        CorruptState: where they cannot be read.
    """
    file = directory.kept_range_test(optimizer)
    with _reading(file, "the range tests"):
        if not file.exists():
            return None
        kept = json.loads(file.read_text(encoding="utf-8"))
        return KeptRangeTest(RangeTestResult.from_dict(kept["range_test"]), kept["fields"], kept["seconds"])


def range_test_seconds(directory: RunDirectory, optimizers: Iterable[str]) -> float:
    """Return how long the range tests of these optimizers took together, on whatever machines."""
    parts = (kept_range_test(directory, optimizer) for optimizer in optimizers)
    return sum(part.seconds for part in parts if part is not None)


def keep_task(directory: RunDirectory, task: TaskPrint) -> None:
    """Keep what tells the task from others, so that a study can be opened without loading it."""
    write_json(directory.kept_task, task.as_dict())


def kept_task(directory: RunDirectory) -> TaskPrint | None:
    """Read what was kept of the task; None where it was not loaded yet.

    Raises:
        CorruptState: where it cannot be read.
    """
    with _reading(directory.kept_task, "what tells the task from others"):
        if not directory.kept_task.exists():
            return None
        return TaskPrint.from_dict(json.loads(directory.kept_task.read_text(encoding="utf-8")))


def keep_trainings(directory: RunDirectory, trainings: Iterable[Training]) -> None:
    """Keep the further trainings of the best trials, so that a run that goes on repeats none of them."""
    write_json(directory.kept_trainings, {"trainings": [training.as_dict() for training in trainings]})


def kept_trainings(directory: RunDirectory) -> list[Training]:
    """Read the further trainings that were kept.

    Raises:
        CorruptState: where they cannot be read.
    """
    file = directory.kept_trainings
    with _reading(file, "further trainings"):
        if not file.exists():
            return []
        kept = json.loads(file.read_text(encoding="utf-8"))["trainings"]
        return [Training(one["training"], TrialResult.from_dict(one)) for one in kept]


def keep_widenings(directory: RunDirectory, widenings: Iterable[Widening]) -> None:
    """Keep where the search went on in wider bounds."""
    write_json(directory.kept_widenings, {"widenings": [asdict(widening) for widening in widenings]})


def kept_widenings(directory: RunDirectory) -> list[Widening]:
    """Read where the search went on in wider bounds.

    Raises:
        CorruptState: where it cannot be read.
    """
    file = directory.kept_widenings
    with _reading(file, "widenings"):
        if not file.exists():
            return []
        return [Widening(**one) for one in json.loads(file.read_text(encoding="utf-8"))["widenings"]]


def keep_weights(
    directory: RunDirectory,
    trained: Trained,
    ended: Sequence[TrialResult],
    num_kept: int,
    *,
    max_gap: float | None = None,
) -> None:
    """Keep the weights of a trial that is among the best few so far.

    Args:
        directory: where.
        trained: the trial that has just ended.
        ended: those before. The weights of the best few of them stay until the next trial ends, and so do those of
            trials that another worker has just ended.
        num_kept: how many they may be.
        max_gap: the largest generalisation gap allowed among the best.
    """
    import numpy as np

    top = top_of(ended, num_kept, max_gap=max_gap)
    for trial in ended:
        if trial not in top:
            _weights_file(directory, trial).unlink(missing_ok=True)
    if trained.best_weights is not None and trained.result in top_of([*top, trained.result], num_kept):
        with replacing(_weights_file(directory, trained.result)) as partial:
            np.savez(partial, *(np.asarray(value) for value in trained.best_weights))


def kept_weights(directory: RunDirectory, best: TrialResult) -> Values | None:
    """Read the weights that were kept of the best trial; None where somebody removed them.

    Raises:
        CorruptState: where they cannot be read.
    """
    import numpy as np

    file = _weights_file(directory, best)
    if not file.exists():
        return None
    try:
        with file.open("rb") as stream, np.load(stream) as arrays:
            return [arrays[name] for name in arrays.files]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CorruptState(f"{file} must hold weights, but it cannot be read: {error}. Remove it.") from error


def keep_checkpoint(directory: RunDirectory, checkpoint: TrialCheckpoint) -> None:
    """Keep where a trial stands, so that whoever goes on with it need not repeat its epochs."""
    checkpoint.save(_checkpoint_file(directory, checkpoint.number))


def kept_checkpoint(directory: RunDirectory, number: int) -> TrialCheckpoint | None:
    """Read where a trial stood that was interrupted; None where it was not, or what is kept is broken."""
    return read_checkpoint(_checkpoint_file(directory, number))


def read_checkpoint(file: Path) -> TrialCheckpoint | None:
    """Read where a training stood that was interrupted; None where there is none, or it is broken."""
    try:
        return TrialCheckpoint.load(file)
    except (FileNotFoundError, BrokenCheckpoint):  # without it the trial begins anew, and nothing else is lost
        return None


def drop_checkpoint(directory: RunDirectory, number: int) -> None:
    """Forget where a trial stood, because it has ended."""
    _checkpoint_file(directory, number).unlink(missing_ok=True)


@contextmanager
def _reading(file: Path, content: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptState(f"{file} must hold {content}, but it cannot be read: {error!r:.200}. Remove it.") from error


def _weights_folder(directory: RunDirectory) -> Path:
    return directory.state / "checkpoints"


def _checkpoint_file(directory: RunDirectory, number: int) -> Path:
    return directory.checkpoint(f"slot-{number}")


def _weights_file(directory: RunDirectory, trial: TrialResult) -> Path:
    return _weights_folder(directory) / f"trial-{trial.number}.npz"
