"""Make the model of a trained trial: its weights after the best epoch, and an optimizer at that epoch's last rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrrt.loops import Loops
from lrrt.optimizers import fresh_optimizer, scaled_for
from lrrt.variables import Values, assign_weights
from studies.training.callbacks import save_with_its_optimizer
from studies.trial import TrialResult

if TYPE_CHECKING:
    import keras


def trained_model(loops: Loops, result: TrialResult, weights: Values, epochs: int) -> keras.Model:
    """Return the model of these loops after a trial's best epoch, ready to be saved and evaluated.

    Its optimizer is fresh, of the trial's kind, at the last rate of that epoch. States of recurrent layers are
    reset, since a saved model has none.

    Args:
        loops: those of the trial's model.
        result: the trial's.
        weights: all variables of the model after its best epoch.
        epochs: the planned number of epochs.
    """
    assert result.best_epoch is not None, "a trial without a best epoch leaves no model"
    num_batches = loops.num_batches(result.config.batch_size)
    rates = result.config.learning_rates(epochs * num_batches)
    pattern = result.config.with_own_values(loops.patterns[result.config.optimizer_name])
    model = loops.model
    assign_weights(model, weights)
    fresh = fresh_optimizer(pattern, float(rates[result.best_epoch * num_batches - 1]))
    model.optimizer = scaled_for(model, fresh)
    model.optimizer.build(model.trainable_variables)  # after the weights, which some optimizers copy
    save_with_its_optimizer(model)
    return model
