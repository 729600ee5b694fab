"""Choose whose trial is next if several optimizers share one study: each is an arm of a bandit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

ARMS = "arms"  # the name of the sampler

# In 7 tasks of 7 the first rate of Adam, and in 6 that of RMSprop, lay nearer to the best of all six optimizers than
# those of the four others in the mean. Adam comes first whichever task is left out, RMSprop not always second.
FIRST = ("adam", "adamw", "nadam", "adamax", "rmsprop")
NEW_EVERY = 2  # trials after the first; every other one goes on with what has done best: many optimizers cost little
SHARE = 2  # the next best optimizer gets a half of the trials of the better one
ENOUGH = 3  # trials, after which an optimizer may be left


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial of an arm; its cost is None if it runs, or failed."""

    arm: str
    cost: float | None


@dataclass(frozen=True, slots=True)
class Left:
    """An arm that gets no more trials: its best cost is no better than the median of the leader's trials."""

    arm: str
    best: float
    leader: str
    median_of_leader: float


def in_order(optimizers: Sequence[str]) -> tuple[str, ...]:
    """Return the order in which a study turns to its optimizers: those that most often do well at once come first.

    >>> in_order(["sgd", "rmsprop", "adam"])
    ('adam', 'rmsprop', 'sgd')
    """
    place = {name: at for at, name in enumerate(FIRST)}
    return tuple(sorted(optimizers, key=lambda name: place.get(name, len(FIRST))))


def turns_of(order: Sequence[str], num_trials: int) -> tuple[str, ...]:
    """Return the optimizers to which a study of so many trials turns, at most, in their order.

    >>> turns_of(["adam", "sgd", "lion"], 3)
    ('adam', 'sgd')
    """
    return tuple(order[: _turn(num_trials - 1) + 1])


def next_arm(order: Sequence[str], tried: Sequence[Tried], number: int, *, is_bracketed: bool = True) -> str:
    """Return the arm of the next trial.

    The first two trials are those of the first two arms, since of one alone nobody knows whether it is good. When the
    best rate is bracketed, every other trial is the first one of the next arm in order, until each arm has one. All
    other trials go to the arms in the shares 1, 1/2, 1/4, .. by their best costs; an arm that is left gets none.

    Args:
        order: of all arms.
        tried: the trials that have ended or run.
        number: of the next trial.
        is_bracketed: whether trials show between which rates the best one lies, see `studies.engines.bracket`.

    >>> next_arm(["adam", "sgd"], [], 0), next_arm(["adam", "sgd"], [Tried("adam", 0.5)], 1)
    ('adam', 'sgd')
    >>> next_arm(["adam", "sgd"], [Tried("adam", 0.5), Tried("sgd", 0.4)], 2)
    'sgd'
    """
    counts = {arm: sum(one.arm == arm for one in tried) for arm in order}
    untried = [arm for arm in order if counts[arm] == 0]
    turns = _turn(number) > _turn(number - 1) and (is_bracketed or number < NEW_EVERY)
    if untried and (turns or len(untried) == len(order)):
        others = _turn(number) - _turn(len(tried))  # to which workers may be turning whose trials have no values yet
        return untried[min(max(others, 0), len(untried) - 1)]
    best = best_costs(tried)
    left = {one.arm for one in left_arms(tried)}
    ranked = sorted((arm for arm in order if counts[arm] and arm not in left), key=lambda arm: best[arm])
    return min(ranked, key=lambda arm: counts[arm] * SHARE ** ranked.index(arm))


def _turn(number: int) -> int:
    """Return the place in the order of the arm to which a study has turned at last when a trial begins."""
    return math.ceil(number / NEW_EVERY)


def left_arms(tried: Sequence[Tried]) -> tuple[Left, ...]:
    """Return the arms that get no more trials, as things stand."""
    best = best_costs(tried)
    if not best or min(best.values()) == math.inf:
        return ()
    leader = min(best, key=lambda arm: best[arm])
    costs = {arm: [one.cost for one in tried if one.arm == arm and one.cost is not None] for arm in best}
    typical = median(costs[leader])
    return tuple(
        Left(arm, best[arm], leader, typical)
        for arm in best
        if arm != leader and min(len(costs[arm]), len(costs[leader])) >= ENOUGH and best[arm] >= typical
    )


def best_costs(tried: Sequence[Tried]) -> dict[str, float]:
    """Return the best cost of each arm that was tried; infinite if none of its trials has one."""
    return {
        arm: min((one.cost for one in tried if one.arm == arm and one.cost is not None), default=math.inf)
        for arm in dict.fromkeys(one.arm for one in tried)
    }
