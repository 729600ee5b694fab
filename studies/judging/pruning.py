"""Decide whether a trial may end early: it stopped improving, or is worse than its peers at a mark, or on folds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median, stdev

from studies.overfitting import is_still_falling
from studies.schedules.families import FAMILIES
from studies.schedules.marks import Mark, marks
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig

MIN_PEERS = 4  # trials of the family for a comparison; a median of fewer says little
PEERS = (TrialState.COMPLETED, TrialState.PRUNED, TrialState.TIMED_OUT)
PATIENCE = 0.25  # of the epochs, by default
MIN_PATIENCE = 2  # epochs
MIN_FOLDS = 2  # before a config may be given up
FLAT_AFTER = 0.25  # of the training; a rate that begins low must have had time to move the loss
FLAT_SHARE = 0.01  # of the fall of its peers; a trial that fell less is not learning


def has_stopped_improving(config: TrialConfig, costs: Sequence[float], *, epochs: int, patience: float | None) -> bool:
    """Say whether a training may end, because its objective has not improved for long enough.

    A decay is trained at least to its middle. From then on it must improve once in every `patience`. A cyclical
    schedule may end only at the end of a cycle, if neither that whole cycle nor the last `patience` epochs brought an
    improvement. One cycle is trained to its end. Costs that are still falling, by the rule of `check_overfitting` for
    losses, end nothing, however short the patience.

    Args:
        config: the trial's values.
        costs: the objective in each epoch so far, lower is better.
        epochs: the planned number of epochs.
        patience: a fraction of `epochs`; None ends nothing.

    >>> rising = [1.0, 0.5, *[0.6] * 16]
    >>> config = TrialConfig("sgd", "exponential", 0.1, 32)
    >>> [n for n in range(1, 19) if has_stopped_improving(config, rising[:n], epochs=20, patience=0.2)][0]
    14
    """
    finite = [cost for cost in costs if math.isfinite(cost)]
    if patience is None or not finite:
        return False
    epoch, best_epoch = len(costs), list(costs).index(min(finite)) + 1
    places, is_cyclical = _marks_of(config, epochs), FAMILIES[config.schedule].is_cyclical
    since = best_epoch if is_cyclical or not places else max(best_epoch, places[0].epoch)
    if epoch - since < max(MIN_PATIENCE, math.ceil(patience * epochs)) or is_still_falling(costs):
        return False
    if is_cyclical:
        ends = [mark.epoch for mark in places]
        return epoch in ends[1:] and best_epoch <= ends[ends.index(epoch) - 1]
    return bool(places)


def is_worse_than_its_peers(trial: TrialResult, others: Iterable[TrialResult]) -> bool:
    """Say whether a trial should be cut at the end of an epoch.

    Its peers are the trials of its schedule family. At a mark of its schedule it is cut if its best score is worse than
    the median of its peers. Each peer counts with its best score up to its last mark that is not later in its schedule.
    Between marks a trial is cut only if it is flat: after a quarter of the training its losses have moved by less than
    1 % of the movement of its peers' losses. The median rule is that of Golovin et al. 2017, Google Vizier, section
    3.2.2, with marks of a schedule in place of steps.

    Args:
        trial: the trial so far, with its planned epochs.
        others: all trials that have ended; those that are no peers are ignored.
    """
    epochs, epoch = trial.planned_epochs, len(trial.val_losses)
    peers = [other for other in others if _is_peer(other, trial.config)]
    if _is_flat(trial.train_losses, trial.val_losses, peers, epochs):
        return True
    for mark in _marks_of(trial.config, epochs):
        if mark.epoch == epoch:
            shown = [_best(costs) for peer in peers if (costs := _shown_at(peer, mark.progress, epochs))]
            return len(shown) >= MIN_PEERS and _best(trial.costs) > median(shown)
    return False


def is_worse_on_folds(costs: Sequence[float], best: Sequence[float]) -> bool:
    """Say whether a config needs no more folds, because it is clearly worse than the best one so far.

    The law is `mean(costs) - mean(best on the same folds) > standard deviation of best`. Both means are over the same
    folds, because a fold that is hard to predict is hard for both (a race by blocks, as Birattari et al. 2002, F-Race;
    the limit is lrrt's own). One fold alone decides nothing.

    Args:
        costs: the config's costs on the first folds; lower is better.
        best: the costs on all folds of the config with the best mean, in the same order.

    >>> is_worse_on_folds([0.5, 0.6], [0.2, 0.3, 0.4]), is_worse_on_folds([0.25, 0.35], [0.2, 0.3, 0.4])
    (True, False)
    """
    if len(costs) < MIN_FOLDS or len(best) < len(costs):
        return False
    return fmean(costs) - fmean(best[: len(costs)]) > stdev(best)


def best_on_folds(results: Iterable[TrialResult]) -> tuple[float, ...]:
    """Return the costs on folds of the completed trial with the best mean; empty if there is none."""
    whole = (result for result in results if result.state is TrialState.COMPLETED and result.fold_scores)
    costs = (result.objective.costs(result.fold_scores) for result in whole)
    return min(costs, key=fmean, default=())


def _marks_of(config: TrialConfig, epochs: int) -> tuple[Mark, ...]:
    return marks(config.schedule, dict(config.schedule_parameters), epochs)


def _is_peer(other: TrialResult, config: TrialConfig) -> bool:
    return other.config.schedule == config.schedule and other.state in PEERS


def _shown_at(peer: TrialResult, progress: float, epochs: int) -> tuple[float, ...]:
    """Return a peer's costs up to its last mark within this progress; none if it did not reach one."""
    reached = [mark.epoch for mark in _marks_of(peer.config, epochs) if mark.progress <= progress]
    was_cut_before = bool(reached) and peer.state is not TrialState.COMPLETED and len(peer.val_losses) < reached[-1]
    return () if not reached or was_cut_before else peer.costs[: reached[-1]]


def _best(costs: Iterable[float]) -> float:
    """Return the lowest finite cost; infinity if there is none."""
    return min((cost for cost in costs if math.isfinite(cost)), default=math.inf)


def _is_flat(
    train_losses: Sequence[float], val_losses: Sequence[float], peers: Sequence[TrialResult], epochs: int
) -> bool:
    epoch = len(val_losses)
    if epoch < max(MIN_PATIENCE, math.ceil(FLAT_AFTER * epochs)):
        return False
    ranges = [_moved(peer.val_losses[:epoch]) for peer in peers if len(peer.val_losses) >= epoch]
    if len(ranges) < MIN_PEERS:
        return False
    return max(_moved(train_losses), _moved(val_losses)) < FLAT_SHARE * median(ranges)


def _moved(losses: Sequence[float]) -> float:
    return max(losses) - min(losses)
