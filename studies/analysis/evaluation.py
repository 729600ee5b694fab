"""Evaluate the best trial's model: its training loss, its penalties, and what a constant answer would score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lrrt.arrays import ArrayBatches
from lrrt.constant_answer import ConstantAnswer, constant_answer
from lrrt.loops import Loops
from lrrt.one_batch import num_rows, run_on_batch
from lrrt.penalties import penalty_of
from studies.overfitting import OverfitReport
from studies.trial import TrialResult

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the model of a trial shows after its best epoch, evaluated as validation data is: without dropout.

    Attributes:
        train_loss: on about as many random training samples as there are validation samples; without the penalty if the
            score is without it.
        penalty: what regularizers of weights and activities add to each loss.
        score_has_penalty: whether the penalty is a part of the score. It is not if trials have models of their own.
        constant: the best answer that is the same for every validation sample; None if its loss is not known.
    """

    train_loss: float
    penalty: float
    score_has_penalty: bool
    constant: ConstantAnswer | None

    def learnt_nothing(self, score: float) -> bool:
        """Say whether a score is no better than that of the constant answer, but for a small part of it."""
        return self.constant is not None and self.constant.is_hardly_beaten_by(self._of_data(score))

    def in_words(self, score: float) -> str:
        """Compare a score with that of the constant answer."""
        return "" if self.constant is None else self.constant.in_words(self._of_data(score))

    def with_gap(self, report: OverfitReport) -> OverfitReport:
        """Return a verdict whose generalisation gap is that of two evaluated losses.

        The training loss of an epoch is a mean over weights that move, and with dropout on.
        """
        if report.best_val_loss is None:
            return report
        return replace(report, generalisation_gap=report.best_val_loss - self.train_loss)

    def _of_data(self, score: float) -> float:
        return score - self.penalty if self.score_has_penalty else score


def evaluate_trained(loops: Loops, model: keras.Model, result: TrialResult) -> Evaluation:
    """Evaluate a trial's model as it was after its best epoch.

    Args:
        loops: of the trial's model.
        model: the result of `Trainer.as_trained`; the states of its layers are used up.
        result: the trial.
    """
    train, validation = loops.batches, loops.validation
    assert validation is not None, "trials are scored on validation data"
    if isinstance(train, ArrayBatches):
        train = train.with_batch_size(result.config.batch_size)
        num_samples = validation.num_samples if isinstance(validation, ArrayBatches) else train.num_samples
        num_steps = max(1, min(num_samples, train.num_samples) // train.batch_size)
    else:
        num_steps = min(train.num_batches, validation.num_batches)
    plan = train.plan(num_steps, np.random.default_rng(0))
    losses, sizes, penalties = [], [], []
    for step in range(num_steps):
        batch = train.take(step, *plan)
        losses.append(float(run_on_batch(model, model.test_step, batch)[0]))
        sizes.append(int(num_rows(batch)))
        penalties.append(float(penalty_of(model)))
    penalty = float(np.average(penalties, weights=sizes))
    scored_with = scores_have_penalty(result)
    loss = float(np.average(losses, weights=sizes)) - (0.0 if scored_with else penalty)
    return Evaluation(loss, penalty, scored_with, constant_answer(model, validation))


def scores_have_penalty(result: TrialResult) -> bool:
    """Say whether a trial's losses contain penalties; trials with hyperparameters of their models have them without."""
    return not result.config.own
