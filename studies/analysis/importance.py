"""Estimate how much each hyperparameter matters to the scores of a study's trials, whichever engine proposed them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from studies.dimension import Dimension, Value
from studies.engines.observation import cost_for_engines
from studies.engines.optuna_samplers import distribution, quiet_optuna
from studies.space.search_space import SearchSpace
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig

if TYPE_CHECKING:
    import optuna

# In simulated studies whose scores depend on the rate most, the rate comes first in all studies of 20 trials or more,
# and in three of four of 10 trials.
MIN_TRIALS = 20
RATE = "lr"  # of any optimizer, as its place between its bounds
NUM_TREES, SEED = 32, 0  # of the forest that explains the ranks
MOST_TRIALS = 300  # that are explained: the seconds grow with more, 25 at 2,000, and the shares move by some .05


def importances(trials: Sequence[TrialResult], space: SearchSpace) -> dict[str, float] | None:
    """Return the share of each hyperparameter in the differences between trials, the most important first.

    They come from Optuna's fANOVA (Hutter, Hoos and Leyton-Brown 2014) on the ranks of the scores, so that one huge
    loss does not decide. A diverged trial ranks by the penalty that the sampler sees. The rates of all optimizers count
    as one, `lr`, by their place between the bounds. A hyperparameter has no share if some trials lack it, such as one
    of a schedule, or if it has a single value. Of more than `MOST_TRIALS` trials, so many are explained, evenly spaced.

    Args:
        trials: the trials of a study.
        space: the space that was searched.

    Returns:
        Shares by name, which sum to 1; None for fewer than `MIN_TRIALS` trials that did not fail, or if all have the
        same score.
    """
    ended = [trial for trial in trials if trial.state is not TrialState.FAILED]
    ended = ended[:: max(1, math.ceil(len(ended) / MOST_TRIALS))]
    costs = [cost for trial in ended if (cost := cost_for_engines(trial, ended)) is not None]
    searched = [one for one in _searched(space) if one.name == RATE or all(_has(trial, one.name) for trial in ended)]
    if len(ended) < MIN_TRIALS or len(set(costs)) == 1 or not searched:
        return None
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    ranks = {cost: rank for rank, cost in enumerate(sorted(set(costs)))}
    with quiet_optuna():
        study = optuna.create_study()
    study.add_trials(
        _as_optuna(trial.config, space, searched, ranks[cost]) for trial, cost in zip(ended, costs, strict=True)
    )
    evaluator = FanovaImportanceEvaluator(n_trees=NUM_TREES, seed=SEED)
    return {name: float(share) for name, share in get_param_importances(study, evaluator=evaluator).items()}


def left_out(space: SearchSpace) -> tuple[str, ...]:
    """Return the searched hyperparameters that `importances` has no share for, because only some trials have them.

    The rates are not among them: they are in the share of `lr`.
    """
    rates = {one.rate_name for one in space.optimizers}
    return tuple(one.name for one in space.dimensions() if one.conditions and _varies(one) and one.name not in rates)


def _varies(dimension: Dimension) -> bool:
    return len(dimension.choices) > 1 or dimension.low < dimension.high


def _searched(space: SearchSpace) -> Iterable[Dimension]:
    """Return the dimensions that every trial has and that have several values; the rate is its place in the bounds."""
    for dimension in space.dimensions():
        if not dimension.conditions and _varies(dimension):
            yield dimension
    yield Dimension(RATE, low=0.0, high=1.0)


def _has(trial: TrialResult, name: str) -> bool:
    return name in trial.config.parameters()


def _as_optuna(
    config: TrialConfig, space: SearchSpace, searched: Sequence[Dimension], rank: int
) -> optuna.trial.FrozenTrial:
    import optuna

    rates = space.range_of(config)
    assert rates is not None, "the trials of a study lie in its space"
    place = math.log(config.lr / rates.low) / math.log(rates.highest_peak(space.schedules) / rates.low)
    values: dict[str, Value] = {**config.parameters(), RATE: min(max(place, 0.0), 1.0)}
    return optuna.trial.create_trial(
        params={dimension.name: values[dimension.name] for dimension in searched},
        distributions={dimension.name: distribution(dimension) for dimension in searched},
        value=float(rank),
    )
