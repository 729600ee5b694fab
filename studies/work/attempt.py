"""Train one trial of a study, so that an error of the user's model ends the trial and not the study."""

from __future__ import annotations

from collections.abc import Callable

from studies.judging.limits import NO_LIMITS, Limits
from studies.sharing.pieces import Key
from studies.sharing.shared_work import Check
from studies.trainer import Trainer
from studies.training.ended import EpochDecision, EpochEnded, Trained
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig
from studies.user_code import is_stop, left_as_found
from studies.user_errors import described
from studies.work.cross_validation import CrossValidator
from studies.work.watcher import Watcher


def attempt(
    trainer: Trainer | CrossValidator,
    config: TrialConfig,
    *,
    number: int,
    key: Key,
    watcher: Watcher,
    check: Check,
    is_pruned: Callable[[EpochEnded], bool] = lambda ended: False,
    limits: Limits = NO_LIMITS,
) -> Trained:
    """Train a trial, from the watcher's checkpoint if there is one.

    Args:
        trainer: trains the trial.
        config: the trial's values.
        number: the trial's number.
        key: the key of the piece of work; a further training of a trial has another key than the first one.
        watcher: is called after each epoch; an exception from it ends more than the trial.
        check: raises if another worker has taken the trial over.
        is_pruned: decides after an epoch whether the trial is cut.
        limits: leave out models that are too large.

    Returns:
        The trained trial; its result has failed if the model raised.
    """
    errors_of_others: list[BaseException] = []

    def on_epoch(ended: EpochEnded) -> EpochDecision | None:
        try:
            if is_pruned(ended):
                return EpochDecision.PRUNE
            check(False)
            return watcher.on_epoch_end(ended)
        except BaseException as error:
            errors_of_others.append(error)
            raise

    checkpoint = watcher.checkpoint_of(key)
    fits = checkpoint is not None and (checkpoint.config, checkpoint.seed) == (config, getattr(trainer, "seed", None))
    try:
        with left_as_found():
            if limits.max_parameters is not None and limits.excess(size := trainer.num_parameters(config)):
                return Trained(_infeasible(number, config, size, limits.max_parameters, trainer), None)
            return trainer.train(config, number=number, resume=checkpoint if fits else None, on_epoch=on_epoch)
    except BaseException as error:  # the model is the user's code, which may raise anything somewhere in the space
        if errors_of_others:
            raise errors_of_others[0] from None
        if is_stop(error):
            raise
        failed = TrialResult(number, config, TrialState.FAILED, error=described(error), objective=trainer.objectives[0])
        return Trained(failed, None)


def _infeasible(
    number: int, config: TrialConfig, size: int, allowed: int, trainer: Trainer | CrossValidator
) -> TrialResult:
    return TrialResult(
        number,
        config,
        TrialState.INFEASIBLE,
        error=f"A model must have at most max_parameters={allowed} parameters, this one has {size}.",
        objective=trainer.objectives[0],
        num_parameters=size,
    )
