"""Read and write the state besides the study: the task's print, weights, and checkpoints of trainings."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.failures import CorruptState
from pipeline.state.json_files import write_json
from pipeline.state.run_directory import RunDirectory
from pipeline.task.fingerprints import TaskPrint
from studies import BrokenCheckpoint, Trained, TrialCheckpoint, TrialResult
from studies.judging.ranking import Leaders
from studies.sharing.pieces import Key
from studies.storage.whole_file import replacing

if TYPE_CHECKING:
    from lrrt.variables import Values

WEIGHTS = "weights-{}.npz"  # by the number of the trial


def write_task(directory: RunDirectory, task: TaskPrint) -> None:
    """Store the print of the task, so that a study can be opened without loading the task."""
    write_json(directory.task, task.as_dict())


def read_task(directory: RunDirectory) -> TaskPrint | None:
    """Read the print of the task; None if the task was not loaded yet.

    Raises:
        CorruptState: if it cannot be read.
    """
    with _reading(directory.task, "the print of the task"):
        if not directory.task.exists():
            return None
        return TaskPrint.from_dict(json.loads(directory.task.read_text(encoding="utf-8")))


def write_best_weights(directory: RunDirectory, trained: Trained, leaders: Leaders) -> None:
    """Store the weights of a trial if it is among the best few so far, and remove those of trials that no longer are.

    Args:
        directory: where.
        trained: the trial that has just ended.
        leaders: the best few before it. Their weights stay until the next trial ends.
    """
    import numpy as np

    best = {trial.number for trial in leaders.best}
    for file in directory.checkpoints.glob(WEIGHTS.format("*")):
        number = re.sub("[^0-9]", "", file.name)
        if number and int(number) not in best and leaders.has_ended(int(number)):
            file.unlink(missing_ok=True)
    if trained.best_weights is not None and trained.result in leaders.with_one_more(trained.result):
        with replacing(weights_file(directory, trained.result)) as partial:
            np.savez(partial, *(np.asarray(value) for value in trained.best_weights))


def read_weights(directory: RunDirectory, best: TrialResult) -> Values | None:
    """Read the weights of the best trial; None if they are not stored.

    Raises:
        CorruptState: if they cannot be read.
    """
    import numpy as np

    file = weights_file(directory, best)
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream, np.load(stream) as arrays:
            return [arrays[name] for name in arrays.files]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CorruptState(f"{file} must hold weights, but it cannot be read: {error}. Remove it.") from error


def weights_file(directory: RunDirectory, trial: TrialResult) -> Path:
    """Return the file of a trial's weights."""
    return directory.checkpoints / WEIGHTS.format(trial.number)


def read_checkpoint(directory: RunDirectory, key: Key) -> TrialCheckpoint | None:
    """Read the checkpoint of an interrupted training; None if there is none, or if it is broken."""
    file = directory.checkpoint(key)
    try:
        return TrialCheckpoint.load(file) if file.is_file() else None
    except (FileNotFoundError, BrokenCheckpoint):  # without it the training begins again, and nothing else is lost
        return None


def drop_checkpoint(directory: RunDirectory, key: Key) -> None:
    """Remove the checkpoint of a training that has ended."""
    directory.checkpoint(key).unlink(missing_ok=True)


@contextmanager
def _reading(file: Path, content: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptState(f"{file} must hold {content}, but it cannot be read: {error!r:.200}. Remove it.") from error
