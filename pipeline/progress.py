"""Knows what the state folder keeps besides the study: range tests, the best trial's weights, where a trial stands."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from lrrt import RangeTestResult
from pipeline.run_directory import CorruptState, RunDirectory, replacing, write_json
from studies import BrokenCheckpoint, Trained, TrialCheckpoint, TrialResult, best_of

if TYPE_CHECKING:
    from lrrt.training_loop import Values


def keep_range_test(directory: RunDirectory, result: RangeTestResult) -> None:
    """Keep the range tests, so that a run that goes on need not repeat them."""
    write_json(_range_test_file(directory), result.as_dict())


def kept_range_test(directory: RunDirectory) -> RangeTestResult | None:
    """Read the range tests that were kept; None where there are none yet.

    Raises:
        CorruptState: where they cannot be read.
    """
    return _read_range_test(_range_test_file(directory))


def range_part_file(directory: RunDirectory, optimizer: str) -> Path:
    """Return where the range tests of one optimizer are kept until those of all are gathered."""
    return directory.state / "range_test" / f"{optimizer}.json"


def keep_range_part(directory: RunDirectory, optimizer: str, result: RangeTestResult) -> None:
    """Keep the range tests of one optimizer; others may be tested elsewhere at the same time."""
    write_json(range_part_file(directory, optimizer), result.as_dict())


def kept_range_part(directory: RunDirectory, optimizer: str) -> RangeTestResult | None:
    """Read the range tests of one optimizer; None where they have not ended.

    Raises:
        CorruptState: where they cannot be read.
    """
    return _read_range_test(range_part_file(directory, optimizer))


def keep_weights(directory: RunDirectory, trained: Trained, best: TrialResult | None) -> None:
    """Keep the weights of a trial that is the best so far; those of the one before go when the next trial ends."""
    import numpy as np

    for file in _weights_folder(directory).glob("trial-*.npz"):
        if best is None or file != _weights_file(directory, best):
            file.unlink()
    if trained.best_weights is not None and best_of([*([best] if best else []), trained.result]) is trained.result:
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
    try:
        return TrialCheckpoint.load(_checkpoint_file(directory, number))
    except (FileNotFoundError, BrokenCheckpoint):  # without it the trial begins anew, and nothing else is lost
        return None


def drop_checkpoint(directory: RunDirectory, number: int) -> None:
    """Forget where a trial stood, because it has ended."""
    _checkpoint_file(directory, number).unlink(missing_ok=True)


def _read_range_test(file: Path) -> RangeTestResult | None:
    if not file.exists():
        return None
    try:
        return RangeTestResult.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptState(f"{file} must hold range tests, but it cannot be read: {error}. Remove it.") from error


def _range_test_file(directory: RunDirectory) -> Path:
    return directory.state / "range_test.json"


def _weights_folder(directory: RunDirectory) -> Path:
    return directory.state / "checkpoints"


def _checkpoint_file(directory: RunDirectory, number: int) -> Path:
    return _weights_folder(directory) / f"slot-{number}.npz"


def _weights_file(directory: RunDirectory, trial: TrialResult) -> Path:
    return _weights_folder(directory) / f"trial-{trial.number}.npz"
