"""Evaluate the training loss of a trial after its best epoch, so that it can be compared with its validation loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lrrt.arrays import ArrayBatches
from lrrt.batches import Batches
from lrrt.loops import Loops
from lrrt.stream import StreamBatches
from lrrt.variables import assign_weights
from studies.training.ended import Trained
from studies.training.loop_cache import LoopCache
from studies.trial_config import TrialConfig


def evaluated_part(loops: Loops, config: TrialConfig) -> tuple[Batches, int]:
    """Return the training data in a trial's batches, and how many of them have about as many samples as validation."""
    train, validation = loops.batches, loops.validation
    assert validation is not None, "trials are scored on validation data"
    if isinstance(train, ArrayBatches):
        train = train.with_batch_size(config.batch_size)
        num_samples = validation.num_samples if isinstance(validation, ArrayBatches) else train.num_samples
        return train, max(1, min(num_samples, train.num_samples) // train.batch_size)
    return train, min(loops.num_batches(config.batch_size), validation.num_batches)


def with_evaluated_loss(cache: LoopCache, trained: Trained) -> Trained:
    """Return a trial with its training loss evaluated as its validation loss is: without dropout, with fixed weights.

    The training loss of an epoch is a mean over weights that move. A trial without a best epoch is returned as it is,
    and so is one whose data can be read only once.

    Args:
        cache: the loops of the trial's trainer.
        trained: the trial.
    """
    config, weights = trained.result.config, trained.best_weights
    if weights is None or (isinstance(cache.loops.batches, StreamBatches) and cache.loops.batches.is_read_once):
        return trained
    fitting = cache.loop_of(config)
    loop = fitting if fitting.reason else fitting.loop
    assign_weights(fitting.model, weights)
    _, num_batches = evaluated_part(cache.loops_of(config), config)
    loss, penalty = loop.evaluate(num_batches, np.random.default_rng(0))
    loss -= penalty if config.own else 0.0  # as all losses of such a trial
    return replace(trained, result=replace(trained.result, evaluated_train_loss=loss))
