"""Save models: the winner's, those of the best few trials, the refitted one; and measure them on the test data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lrrt.arrays import ArrayBatches
from lrrt.batches import as_batches
from lrrt.optimizers import optimizer_like
from pipeline.report.summary_file import RefittedModel, TopModel
from pipeline.run import Run
from pipeline.steps.refitting import refit
from pipeline.steps.weights import weights_of
from studies import Trainer, TrialResult, ranked
from studies.storage.whole_file import replacing

if TYPE_CHECKING:
    import keras

    from pipeline.task.preparation import Prepared

MODEL, WEIGHTS, REFITTED = "model.keras", "model.weights.h5", "refitted.keras"


def save_best(run: Run, model: keras.Model) -> str | None:
    """Save the winner's model whole, or its weights if that cannot be; return the file's name in the folder."""
    best = run.directory.best
    return _save(run, model, best / MODEL, best / WEIGHTS, "best model")


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
        file = _save(
            run, model, folder / f"{name}.keras", folder / f"{name}.weights.h5", f"model of trial {trial.number}"
        )
        top.append(TopModel(trial.number, trial.score, file))
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
    file = _save(run, refitted.model, path, path.with_suffix(".weights.h5"), "refitted model")
    test = test_metrics(prepared, refitted.model, best)
    return RefittedModel(file, refitted.epochs, refitted.train_loss, test)


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


def saved(path: Path, save: Callable[[Path], None]) -> Path:
    """Save into a temporary file that then takes the place of `path`."""
    with replacing(path) as unfinished:
        save(unfinished)
    return path


def _save(run: Run, model: keras.Model, whole: Path, weights: Path, name: str) -> str | None:
    try:
        file = saved(whole, partial(save_whole, model))
    except OSError:  # a fault of the disk, not of the model
        raise
    except Exception as error:  # saving runs the user's layers, which may raise anything
        reason = f"{type(error).__name__}: {error}"
        place = weights.parent.name
        try:
            file = saved(weights, lambda path: save_weights(model, path))
        except OSError:
            raise
        except Exception:
            run.note(f"the {name} can be saved neither whole nor as weights ({reason}); its trial is in {place}/")
            return None
        run.note(f"the {name} cannot be saved whole ({reason}), so its weights alone are in {place}/{weights.name}")
    for other in {whole, weights} - {file}:
        other.unlink(missing_ok=True)  # of an earlier best trial
    return file.relative_to(run.directory.out).as_posix()
