"""Save models: the winner's, those of the best few trials, the refitted one; and measure them on the test data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lrrt.arrays import ArrayBatches
from lrrt.batches import as_batches
from lrrt.optimizers import optimizer_like
from pipeline.results.loading_code import code_for_weights, code_for_whole
from pipeline.results.summary_file import RefittedModel, TopModel
from pipeline.run import Run
from pipeline.steps.refitting import refit
from pipeline.steps.retraining import weights_of
from studies import Trainer, TrialResult, ranked
from studies.storage.whole_file import replacing
from studies.user_code import UserFault, user_code
from studies.user_errors import described

if TYPE_CHECKING:
    import keras

    from pipeline.task.preparation import Prepared

MODEL, WEIGHTS, REFITTED = "model.keras", "model.weights.h5", "refitted.keras"


@dataclass(frozen=True, slots=True)
class Saved:
    """The file of a model in the folder of the results, and the code that loads it there; None if there is none."""

    file: str | None = None
    loading_code: str | None = None


@dataclass(frozen=True, slots=True)
class SavedModels:
    """The models of a study that were saved.

    Attributes:
        best: the winner's.
        test: the winner's metrics on the test data, by name; None if the task has no test data.
        refitted: the winner trained again on training and validation data; None if that was not asked for.
        top: the models of the best few trials, the winner's first.
    """

    best: Saved = Saved()
    test: Mapping[str, float] | None = None
    refitted: RefittedModel | None = None
    top: tuple[TopModel, ...] = ()


def save_best(run: Run, model: keras.Model, best: TrialResult) -> Saved:
    """Save the winner's model whole, or its weights if it cannot be saved whole and loaded."""
    folder = run.directory.best
    return _save(run, model, best, folder / MODEL, folder / WEIGHTS, "best model")


def save_top(
    run: Run, trainer: Trainer, results: Sequence[TrialResult], best: TrialResult, best_file: str | None
) -> tuple[TopModel, ...]:
    """Save the models of the best few trials beside the winner's, and remove those of trials that no longer are.

    Args:
        run: the run, whose config says how many there are.
        trainer: makes the models, and trains again what has no stored weights.
        results: all trials.
        best: the winner.
        best_file: the file of its model.

    Returns:
        A record of each model, the winner's first.
    """
    others = [trial for trial in ranked(results, max_gap=run.config.study.max_gap) if trial.number != best.number]
    top = [TopModel(best.number, best.score, best_file)]
    folder = run.directory.top
    for trial in others[: run.config.study.keep_top - 1]:
        name = f"trial-{trial.number}"
        model = trainer.as_trained(trial, weights_of(run, trainer, trial))
        files = folder / f"{name}.keras", folder / f"{name}.weights.h5"
        saved = _save(run, model, trial, *files, f"model of trial {trial.number}")
        top.append(TopModel(trial.number, trial.score, saved.file))
    written = {run.directory.out / one.model_file for one in top if one.model_file}
    for old in set(folder.glob("trial-*")) - written:
        old.unlink()
    return tuple(top)


def save_refitted(run: Run, prepared: Prepared, best: TrialResult) -> RefittedModel | None:
    """Train the winner on training and validation data and save it; None if that is not asked for, or failed."""
    path = run.directory.best / REFITTED
    path.unlink(missing_ok=True)  # of an earlier winner
    if not run.config.study.refit:
        return None
    refitted = refit(run, prepared, best)
    if refitted is None:
        return None
    saved = _save(run, refitted.model, best, path, path.with_suffix(".weights.h5"), "refitted model")
    test = test_metrics(prepared, refitted.model, best)
    return RefittedModel(saved.file, refitted.epochs, refitted.train_loss, test)


def test_metrics(prepared: Prepared, model: keras.Model, trial: TrialResult) -> dict[str, float] | None:
    """Return the loss and every metric of a trial's model on the test data; None if the task has none."""
    data = prepared.task.for_values(trial.config.own).test
    if data is None:
        return None
    from lrrt.fit_loop import stream_of

    batches = as_batches(data, 1, name="test")
    if isinstance(batches, ArrayBatches):
        batches = batches.with_batch_size(min(trial.config.batch_size, batches.num_samples))
    stream = stream_of(batches, batches.num_batches, batches.plan(batches.num_batches, None))
    metrics = model.evaluate(stream, verbose=0, return_dict=True)
    return {name: float(value) for name, value in metrics.items()}


def save_whole(model: keras.Model, path: Path) -> None:
    """Save a model; one without `call`, which is never called built, without the state of its optimizer.

    It could not be loaded with that state, and is saved with all its weights, whatever Keras warns of.
    """
    with _fresh_optimizer(model) if not model.built else nullcontext(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are saving a model that has not yet been built")
        model.save(path)


def save_weights(model: keras.Model, path: Path) -> None:
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


def save_at(path: Path, save: Callable[[Path], None]) -> None:
    """Save into a temporary file that then takes the place of `path`."""
    with replacing(path) as unfinished:
        save(unfinished)


def _save(run: Run, model: keras.Model, trial: TrialResult, whole: Path, weights: Path, name: str) -> Saved:
    """Save a model whole if it can then be loaded, else its weights; remove the other file, of an earlier model."""
    build_model, values = run.config.task.build_model, dict(trial.config.own)
    code, reason = None, "no code loads what Keras saved of it"
    try:
        with user_code("Saving the model"):
            save_at(whole, partial(save_whole, model))
            code = code_for_whole(whole, _name_of(run, whole), build_model)
    except UserFault as fault:
        reason = described(fault.__cause__ or fault)
    if code is not None:
        weights.unlink(missing_ok=True)
        return Saved(_name_of(run, whole), code)
    whole.unlink(missing_ok=True)
    place = weights.parent.name
    try:
        with user_code("Saving the weights"):
            save_at(weights, lambda path: save_weights(model, path))
    except UserFault:
        weights.unlink(missing_ok=True)
        arrays = weights.with_suffix(".npz")
        save_at(arrays, partial(_save_arrays, model))
        run.note(f"the {name} cannot be saved whole ({reason}), so its variables alone are in {place}/{arrays.name}")
        return Saved(_name_of(run, arrays))
    run.note(f"the {name} cannot be saved whole ({reason}), so its weights alone are in {place}/{weights.name}")
    return Saved(_name_of(run, weights), code_for_weights(weights, _name_of(run, weights), build_model, values))


def _save_arrays(model: keras.Model, path: Path) -> None:
    """Save a model's variables as arrays, under their paths and in their order, without any code of its layers."""
    import keras
    import numpy as np

    arrays = {f"{number}/{one.path}": keras.ops.convert_to_numpy(one) for number, one in enumerate(model.variables)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _name_of(run: Run, path: Path) -> str:
    return path.relative_to(run.directory.out).as_posix()
