"""Decide by successive halving which trials go on: the best third at each rung, promoted as soon as others show it.

The rungs of a trial lie at marks of its own schedule, and it is compared with trials of its schedule family alone, at
the same rung: with no other phase of a training. Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning,
arXiv:1810.05934, algorithm 2 (ASHA), with `ceil` in place of `floor`: of any number of trials one goes on, so that a
study of one trial, or of one trial of each family, trains it to its end, and no decision depends on the budget.

Everything here follows from the trials that have ended, in any order. A trial that stays behind is PRUNED at its rung;
it is promoted if later ones put it among the best third.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from studies.schedules.family import DECAY_PARTS
from studies.schedules.marks import marks
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig

HYPERBAND = "hyperband"  # the name that Optuna and KerasTuner have for it
Prunes = bool | Literal["hyperband"]
"""Whether a study prunes: by the median of the peers if it is true, or by successive halving."""

REDUCTION = 3  # of the trials at a rung one in so many goes on
COMPARED = (TrialState.COMPLETED, TrialState.PRUNED, TrialState.TIMED_OUT)

Place = tuple[float, int]  # what trials are ordered by at a rung: the best cost so far, then the number


@dataclass(frozen=True, slots=True)
class Rung:
    """The first mark of a schedule at or after `part` of it, which is the end of `epoch`."""

    part: float
    epoch: int


@lru_cache(maxsize=4096)
def rungs(config: TrialConfig, epochs: int) -> tuple[Rung, ...]:
    """Return the rungs of a trial of so many epochs: at half and three quarters of its schedule, if it has such marks.

    >>> rungs(TrialConfig("sgd", "fixed", 0.1, 32), 20)
    (Rung(part=0.5, epoch=10), Rung(part=0.75, epoch=15))
    >>> rungs(TrialConfig("sgd", "triangular", 0.1, 32, (("num_cycles", 3),)), 20)
    (Rung(part=0.5, epoch=14),)
    """
    every = marks(config.schedule, dict(config.schedule_parameters), epochs)
    first = {part: next((mark for mark in every if mark.progress >= part), None) for part in DECAY_PARTS}
    return tuple(Rung(part, mark.epoch) for part, mark in first.items() if mark is not None)


def stays_behind(trial: TrialResult, others: Iterable[TrialResult], *, passed: int = 0) -> bool:
    """Say whether a trial ends at its last epoch, a rung, because others of its family are better there.

    Args:
        trial: the trial so far, with its planned epochs.
        others: all trials that have ended; an earlier part of this trial is left out.
        passed: the epoch of the rung from which the trial was promoted; no rung up to it counts.
    """
    epoch = len(trial.val_losses)
    here = [one for one in rungs(trial.config, trial.planned_epochs) if one.epoch == epoch > passed]
    if not here:
        return False
    places = _places(one for one in others if one.number != trial.number)
    place = _place(trial, epoch)
    return any(not _goes_on(place, sorted([*places[trial.config.schedule, one.part], place])) for one in here)


def behind(results: Iterable[TrialResult]) -> list[TrialResult]:
    """Return the trials that stayed behind at a rung, in the order of promotion."""
    paused = [one for one in results if one.state is TrialState.PRUNED and _rungs_at_end(one)]
    return sorted(paused, key=lambda one: (-len(one.val_losses), *_place(one, len(one.val_losses))))


def promoted(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials that stayed behind but now are among the best third at their rung, in the order of promotion.

    The one with the most epochs is the first, and of these the one with the lowest cost.
    """
    places = _places(results)
    return [one for one in behind(results) if _would_go_on(one, places)]


def beyond_promotion(results: Sequence[TrialResult], num_to_come: int) -> list[TrialResult]:
    """Return the trials that stay behind for good, even if all others that come to their rung are worse.

    Args:
        results: of all trials that have ended.
        num_to_come: trials of which no part has ended.
    """
    places, paused = _places(results), behind(results)
    if not num_to_come and not any(_would_go_on(one, places) for one in paused):
        return paused

    last = Counter((one.config.schedule, _rungs_at_end(one)[-1].part) for one in paused)

    def num_to_come_to(rung: Rung, family: str) -> int:
        return num_to_come + sum(last[family, part] for part in DECAY_PARTS if part < rung.part)

    return [one for one in paused if not _would_go_on(one, places, num_to_come_to)]


def fewest_that_go_on(num_trials: int, num_rungs: int) -> tuple[int, ...]:
    """Return how many trials of a family go on, at least, from each rung.

    >>> fewest_that_go_on(40, 2), fewest_that_go_on(1, 2)
    ((14, 5), (1, 1))
    """
    numbers = [num_trials]
    for _ in range(num_rungs):
        numbers.append(_num_best(numbers[-1]))
    return tuple(numbers[1:])


def _rungs_at_end(trial: TrialResult) -> list[Rung]:
    return [one for one in rungs(trial.config, trial.planned_epochs) if one.epoch == len(trial.val_losses)]


def _would_go_on(
    paused: TrialResult,
    places: Mapping[tuple[str, float], Sequence[Place]],
    num_worse: Callable[[Rung, str], int] = lambda rung, family: 0,
) -> bool:
    family, place = paused.config.schedule, _place(paused, len(paused.val_losses))
    return all(
        _goes_on(place, places[family, rung.part], num_worse=num_worse(rung, family)) for rung in _rungs_at_end(paused)
    )


def _places(results: Iterable[TrialResult]) -> dict[tuple[str, float], list[Place]]:
    """Return the places of the trials that have reached a rung, the best first, by schedule and part of it."""
    places: dict[tuple[str, float], list[Place]] = defaultdict(list)
    for trial in results:
        if trial.state in COMPARED:
            for rung in rungs(trial.config, trial.planned_epochs):
                # A trial that stopped improving before the rung has shown what it would show there.
                if trial.state is TrialState.COMPLETED or rung.epoch <= len(trial.val_losses):
                    places[trial.config.schedule, rung.part].append(_place(trial, rung.epoch))
    for several in places.values():
        several.sort()
    return places


def _place(trial: TrialResult, epoch: int) -> Place:
    return min((cost for cost in trial.costs[:epoch] if math.isfinite(cost)), default=math.inf), trial.number


def _goes_on(place: Place, places: Sequence[Place], num_worse: int = 0) -> bool:
    """Say whether a place is among the best third of all at its rung, itself and `num_worse` worse ones included."""
    return bisect_left(places, place) < _num_best(len(places) + num_worse)


def _num_best(num_trials: int) -> int:
    return math.ceil(num_trials / REDUCTION)
