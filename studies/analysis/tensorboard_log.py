"""Write a study for TensorBoard: one run per trial, with its losses, rates and hyperparameters."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from studies.training.ended import Trained
from studies.trial import TrialResult, TrialState

EVENTS = "events.out.tfevents.*"  # the names of TensorFlow's files
FINE = 100  # steps per epoch, if the real number is not known: schedules have the same shape at any number
LEARNED = (TrialState.COMPLETED, TrialState.PRUNED)


class TensorBoardLog:
    """Write each trial that ended; call it with each trained trial, as `Watcher.on_trial_end` does.

    Each trial is a run in its folder, such as `trial_0007`. It has the scalars `train_loss`, `val_loss` and
    `learning_rate` (the last one of each whole epoch) by epoch, counted from 1, and `score` at the best epoch.
    TensorBoard's HParams has the values under the flat names that every engine uses. If a trial is written again, the
    new run replaces the old one.

    Args:
        folder: the argument of `tensorboard --logdir`; it is made if it does not exist.

    Raises:
        ImportError: if tensorboard is not installed.
    """

    def __init__(self, folder: Path | str) -> None:
        if find_spec("tensorboard") is None:
            raise ImportError("A log for TensorBoard needs the package tensorboard. Install lrrt[tensorboard].")
        self.folder = Path(folder)

    def __call__(self, trained: Trained) -> None:
        """Write the trial's run."""
        import tensorflow as tf
        from tensorboard.plugins.hparams import api

        result = trained.result
        run = self.folder / f"trial_{result.number:04d}"
        for file in run.glob(EVENTS):
            file.unlink()
        writer = tf.summary.create_file_writer(str(run))
        with writer.as_default():
            api.hparams(result.config.parameters(), trial_id=run.name)
            _write_epochs(result)
            _write_end(result)
        writer.close()


def _write_epochs(result: TrialResult) -> None:
    import tensorflow as tf

    for name, values in (
        ("train_loss", result.train_losses),
        ("val_loss", result.val_losses),
        *result.metrics.items(),
        ("learning_rate", _last_rates(result)),
    ):
        for epoch, value in enumerate(values, start=1):
            tf.summary.scalar(name, value, step=epoch)
    if result.score is not None:
        tf.summary.scalar("score", result.score, step=result.best_epoch)
    if result.error:
        tf.summary.text("error", result.error, step=0)


def _write_end(result: TrialResult) -> None:
    import tensorflow as tf
    from tensorboard.plugins.hparams import api_pb2, summary

    status: Any = api_pb2.STATUS_SUCCESS if result.state in LEARNED else api_pb2.STATUS_FAILURE
    tf.summary.experimental.write_raw_pb(summary.session_end_pb(status).SerializeToString(), step=0)


def _last_rates(result: TrialResult) -> list[float]:
    """Return the rate of the last step of each whole epoch."""
    has_diverged = result.state is TrialState.DIVERGED  # in its last epoch, whose length is then not known
    num_epochs = len(result.train_losses) - has_diverged
    if num_epochs < 1:
        return []
    steps_an_epoch = FINE if has_diverged else max(1, result.num_steps // num_epochs)
    rates = result.config.learning_rates(max(result.planned_epochs, num_epochs) * steps_an_epoch)
    return [float(rate) for rate in rates[np.arange(1, num_epochs + 1) * steps_an_epoch - 1]]
