"""Say how many trials of a study may be cut at marks of their schedules, how many were, and what that saves."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.study_table import StudyConfig
from pipeline.results.summary_file import Cuts
from studies import TrialConfig, TrialResult, TrialState
from studies.judging.halving import HYPERBAND, fewest_that_go_on, rungs
from studies.schedules.marks import marks


def planned_cuts(study: StudyConfig) -> str | None:
    """Return a sentence on what successive halving cuts at most; None if the study does not halve.

    The trials are taken to be spread evenly over the schedules, with the default parameters of each.
    """
    if study.prunes != HYPERBAND:
        return None
    num_cut, saved, places = 0, 0, []
    for index, name in enumerate(study.schedules):
        num_trials = len(range(index, study.num_trials, len(study.schedules)))
        ends = [one.epoch for one in rungs(TrialConfig("sgd", name, 1.0, 1), study.epochs)]
        left = (num_trials, *fewest_that_go_on(num_trials, len(ends)))
        num_cut += left[0] - left[-1]
        saved += sum((left[at] - left[at + 1]) * (study.epochs - epoch) for at, epoch in enumerate(ends))
        places.append(f"{name} at epoch {' and '.join(map(str, ends))}" if ends else f"{name} never")
    share = saved / (study.num_trials * study.epochs)
    return (
        f'prunes = "{HYPERBAND}" can cut {num_cut} of {study.num_trials} trials and save {share:.0%} of their steps at '
        f"most, if each schedule has as many trials: of {study.epochs} epochs, {', '.join(places)}"
    )


def cuts_of(trials: Sequence[TrialResult]) -> Cuts:
    """Return how many trials reached a mark of their schedule before their end, how many were cut, the steps saved."""
    cut = [trial for trial in trials if trial.state is TrialState.PRUNED]
    return Cuts(
        could_cut=sum(trial.state is TrialState.PRUNED or _reached_a_mark(trial) for trial in trials),
        cut=len(cut),
        steps_saved=round(sum(trial.epochs_saved * trial.num_steps / max(1, len(trial.train_losses)) for trial in cut)),
    )


def _reached_a_mark(trial: TrialResult) -> bool:
    config = trial.config
    ends = marks(config.schedule, dict(config.schedule_parameters), max(1, trial.planned_epochs))
    return any(mark.epoch <= len(trial.val_losses) for mark in ends)
