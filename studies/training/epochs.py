"""Train the epochs of a trial, until something ends it."""

from __future__ import annotations

from lrrt.loops import Loops
from studies.judging.pruning import has_stopped_improving
from studies.training.ended import EpochDecision
from studies.training.momentum import rates_and_momenta
from studies.training.running_trial import TrialRun
from studies.training.trial_in_progress import TrialInProgress
from studies.trial import TrialState


def train_epochs(run: TrialRun, progress: TrialInProgress, loops: Loops, patience: float | None) -> TrialState:
    """Train a trial from where it is; return the state in which it ended.

    Args:
        run: the trial's, begun or resumed.
        progress: says what the trial is, and is called after each of its epochs.
        loops: those of the trial's model.
        patience: see `Trainer`.
    """
    config, epochs = progress.config, progress.epochs
    rates, momenta = rates_and_momenta(config, loops, epochs)
    state = TrialState.COMPLETED
    run.show_rate(rates[0])
    run.hooks.tell("on_train_begin")
    for epoch in range(len(run.val_losses) + 1, epochs + 1):
        if has_stopped_improving(config, run.costs, epochs=epochs, patience=patience):
            break
        if not run.train_epoch(rates[epoch - 1], None if momenta is None else momenta[epoch - 1]):
            state = TrialState.DIVERGED
            break
        with progress.limit.shielded():
            decision = progress.on_epoch(progress.at_end_of(epoch, run))
        if decision is EpochDecision.PRUNE and epoch < epochs:
            state = TrialState.PRUNED
            break
        if run.hooks.want_to_stop:
            break
        if epoch < epochs:
            progress.limit.check()
    run.hooks.tell("on_train_end")
    return state
