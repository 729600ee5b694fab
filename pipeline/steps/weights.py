"""Get the weights of a trial after its best epoch: stored ones, or those of a second training with its seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.failures import CorruptState, TaskError
from pipeline.run import Run
from pipeline.state.stored import drop_checkpoint, read_weights
from pipeline.steps.watching import StageWatcher
from studies import Trainer, TrialResult
from studies.attempt import attempt

if TYPE_CHECKING:
    from lrrt.variables import Values


def weights_of(run: Run, trainer: Trainer, trial: TrialResult) -> Values:
    """Return the weights of a completed trial.

    Args:
        run: the run of the trial. It may be stopped at the end of an epoch, and goes on from there.
        trainer: the trainer of the run's trials.
        trial: the trial.

    Raises:
        TaskError: if the trial is trained again and fails.
    """
    try:
        stored = read_weights(run.directory, trial)
    except CorruptState as error:
        run.note(str(error))
        stored = None
    if stored is not None:
        return stored
    run.note(f"the weights of trial {trial.number} are not stored, so it is trained again from its config and the seed")
    key = f"trial {trial.number} again"
    with run.stopper.deferred():
        run.stopper.check()
        again = attempt(
            trainer, trial.config, number=trial.number, key=key, watcher=StageWatcher(run), check=lambda is_last: None
        )
    drop_checkpoint(run.directory, key)
    if again.best_weights is None:
        reason = again.result.error or again.result.state.value
        raise TaskError(f"Trial {trial.number} must train again as it did before, but: {reason}.")
    return again.best_weights
