"""Make the best model again from its stored weights, or by a training, save it, and score it on the test data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrrt.arrays import ArrayBatches
from lrrt.batches import as_batches
from lrrt.optimizers import optimizer_like
from pipeline.failures import CorruptState, TaskError
from pipeline.run import Run
from pipeline.state.stored import read_weights
from studies import EpochEnded, Trainer, TrialResult
from studies.storage.whole_file import replacing
from studies.user_code import UserFault, user_code

if TYPE_CHECKING:
    import keras

    from lrrt.variables import Values

MODEL, WEIGHTS, ARRAYS = "model.keras", "model.weights.h5", "model.weights.npz"


def best_weights(run: Run, trainer: Trainer, best: TrialResult) -> Values:
    """Return the stored weights of the best trial, or train it again.

    Raises:
        TaskError: if the trial, trained again, has no finite loss.
    """
    try:
        weights = read_weights(run.directory, best)
    except CorruptState as error:
        run.note(str(error))
        weights = None
    if weights is not None:
        return weights
    run.note(f"the weights of trial {best.number} are not stored, so it is trained again from its config and the seed")

    def on_epoch(ended: EpochEnded) -> None:
        run.stopper.check()

    weights = trainer.train(best.config, number=best.number, on_epoch=on_epoch).best_weights
    if weights is None:
        raise TaskError(f"Trial {best.number} must train as it did before, but now its loss is not finite.")
    return weights


def save_model(run: Run, model: keras.Model) -> str:
    """Save the whole model, or its weights if it cannot be saved whole; return the file's name in the folder.

    Raises:
        TaskError: if not even its variables can be read.
    """
    directory = run.directory
    ways = {
        MODEL: partial(_save_whole, model),
        WEIGHTS: partial(_save_weights, model),
        ARRAYS: partial(_save_arrays, model),
    }
    reasons: list[str] = []
    for name, save in ways.items():
        try:
            with user_code("Saving the best model"):
                saved = _saved(directory.best / name, save)
            break
        except UserFault as fault:  # saving runs the user's layers, which may raise anything
            reasons.append(str(fault))
    else:
        raise TaskError(f"The best model must be saved, at least its weights. {reasons[0]}")
    if reasons:
        run.note(f"the best model cannot be saved whole, so its weights alone are in best/{name}. {reasons[0]}")
    for other in {directory.best / name for name in ways} - {saved}:
        other.unlink(missing_ok=True)  # of an earlier best trial
    return saved.relative_to(directory.out).as_posix()


def _save_arrays(model: keras.Model, path: Path) -> None:
    """Save a model's variables as arrays, under their paths and in their order, without any code of its layers."""
    import keras
    import numpy as np

    arrays = {f"{number}/{one.path}": keras.ops.convert_to_numpy(one) for number, one in enumerate(model.variables)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _save_whole(model: keras.Model, path: Path) -> None:
    """Save a model; one without `call`, which is never called built, without the state of its optimizer.

    It could not be loaded with that state, and is saved with all its weights, whatever Keras warns of.
    """
    with _fresh_optimizer(model) if not model.built else nullcontext(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are saving a model that has not yet been built")
        model.save(path)


def _save_weights(model: keras.Model, path: Path) -> None:
    """Save a model's weights with a fresh optimizer, which has no state, as in the model of `build_model`."""
    with _fresh_optimizer(model):
        model.save_weights(path)


@contextmanager
def _fresh_optimizer(model: keras.Model) -> Iterator[None]:
    """While the block runs, the model has an optimizer like its own, at the same rate, without a state."""
    optimizer = model.optimizer
    model.optimizer = optimizer_like(optimizer)
    try:
        yield
    finally:
        model.optimizer = optimizer


def _saved(path: Path, save: Callable[[Path], None]) -> Path:
    with replacing(path) as partial:
        save(partial)
    return path


def evaluate(model: keras.Model, data: Any, batch_size: int) -> dict[str, float]:
    """Return what the model's metrics say of test data."""
    from lrrt.fit_loop import stream_of

    batches = as_batches(data, 1, name="test")
    if isinstance(batches, ArrayBatches):
        batches = batches.with_batch_size(min(batch_size, batches.num_samples))
    stream = stream_of(batches, batches.num_batches, batches.plan(batches.num_batches, None))
    metrics = model.evaluate(stream, verbose=0, return_dict=True)
    return {name: float(value) for name, value in metrics.items()}
