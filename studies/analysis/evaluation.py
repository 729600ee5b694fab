"""Evaluate the best trial's model: its training loss, its penalties, and what a constant answer would score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lrrt.constant_answer import ConstantAnswer, constant_answer
from lrrt.loops import Loops
from lrrt.plain import or_none
from lrrt.validation_loop import evaluate_batchwise
from studies.objective import VAL_LOSS
from studies.overfitting import OverfitReport
from studies.training.training_loss import evaluated_part
from studies.trial import TrialResult

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the model of a trial shows after its best epoch, evaluated as validation data is: without dropout.

    Attributes:
        val_loss: of the validation data, after its best epoch.
        train_loss: on about as many random training samples as there are validation samples.
        penalty: what regularizers of weights and activities add to each loss.
        has_penalty: whether the penalty is a part of both losses, and of all losses of the trial. It is not if the
            trial has hyperparameters of its model.
        constant: the best answer that is the same for every validation sample; None if its loss is not known.
    """

    val_loss: float
    train_loss: float
    penalty: float
    has_penalty: bool
    constant: ConstantAnswer | None

    def warning(self, result: TrialResult) -> str:
        """Say that a trial is hardly better than the constant answer; "" if it is better, or scored by no loss."""
        if self.constant is None or result.objective != VAL_LOSS or result.score is None:
            return ""
        loss = result.score - (self.penalty if self.has_penalty else 0.0)
        return self.constant.in_words(loss) if self.constant.is_hardly_beaten_by(loss) else ""

    def with_gap(self, report: OverfitReport) -> OverfitReport:
        """Return a verdict whose generalisation gap is that of two evaluated losses.

        The training loss of an epoch is a mean over weights that move, and with dropout on.
        """
        return replace(report, generalisation_gap=or_none(self.val_loss - self.train_loss))


def evaluate_trained(loops: Loops, model: keras.Model, result: TrialResult) -> Evaluation:
    """Evaluate a trial's model as it was after its best epoch.

    Args:
        loops: of the trial's model.
        model: the result of `Trainer.as_trained`; the states of its layers are used up.
        result: the trial.
    """
    train, num_steps = evaluated_part(loops, result.config)
    validation = loops.validation
    assert validation is not None, "trials are scored on validation data"
    loss, penalty = evaluate_batchwise(model, train, num_steps, np.random.default_rng(0))
    has_penalty = not result.config.own
    loss -= 0.0 if has_penalty else penalty
    assert result.best_epoch is not None, "a trial with a model has a best epoch"
    val_loss = result.val_losses[result.best_epoch - 1]
    return Evaluation(val_loss, loss, penalty, has_penalty, constant_answer(model, validation))
