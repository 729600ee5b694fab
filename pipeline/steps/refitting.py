"""Train the winner once more, on training and validation data together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.run import Run
from pipeline.state.stored import drop_checkpoint
from pipeline.steps.watching import StageWatcher
from pipeline.task.folds import joined
from pipeline.task.preparation import Prepared
from pipeline.task.trainers import make_cache, make_trainer
from studies import EpochEnded, TrialResult, TrialState
from studies.attempt import attempt

if TYPE_CHECKING:
    import keras

KEY = "refit"


@dataclass(frozen=True, slots=True)
class Refitted:
    """The winner's model after a training on all data but the test data.

    Attributes:
        model: ready to be saved.
        epochs: the number of epochs that it was trained for.
        train_loss: the training loss of the last one.
    """

    model: keras.Model
    epochs: int
    train_loss: float


def refit(run: Run, prepared: Prepared, best: TrialResult) -> Refitted | None:
    """Train the winner on training and validation data for its best number of epochs.

    Its schedule is planned over all epochs of a trial, as in the study, and ends after the best one: both trainings see
    the same fraction of it. The weights are those of the last epoch, since no data is left to choose an epoch by.

    Args:
        run: the run. It may be stopped at the end of an epoch, and goes on from there.
        prepared: its task.
        best: the winner.

    Returns:
        The model; None, with a note for the user, if the training diverged or failed.
    """
    assert best.best_epoch is not None, "a winner has a best epoch"
    last_epoch, task = best.best_epoch, joined(prepared.task)
    watcher, ends = StageWatcher(run), list[EpochEnded]()
    patient = run.config.study.model_copy(update={"patience": None, "max_trial_time": "none"})
    config = run.config.model_copy(update={"study": patient})
    trainer = make_trainer(config, make_cache(config, task), task, on_note=watcher.on_note)

    def is_over(ended: EpochEnded) -> bool:
        ends[:] = [ended]
        return ended.epoch >= last_epoch

    with run.stopper.deferred():
        run.stopper.check()
        trained = attempt(
            trainer, best.config, number=best.number, key=KEY, watcher=watcher, check=lambda _: None, is_pruned=is_over
        )
    drop_checkpoint(run.directory, KEY)
    result = trained.result
    if result.state in (TrialState.DIVERGED, TrialState.FAILED) or not ends:
        run.note(f"there is no refitted model: trial {best.number} on all data {result.error or result.state.value}")
        return None
    epochs = len(result.train_losses)
    run.note(f"trial {best.number} refitted on training and validation data: {epochs} epochs, then saved")
    checkpoint = ends[0].checkpoint
    assert checkpoint is not None, "only a training on folds has none"
    model = trainer.as_trained(best, checkpoint().weights)
    return Refitted(model, epochs, result.train_losses[-1])
