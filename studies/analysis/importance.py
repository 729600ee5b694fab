"""Knows how much each hyperparameter matters to how well the trials of a study end, whichever engine proposed them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from studies.dimension import Dimension, Value
from studies.engines.observation import score_for_engines
from studies.engines.optuna_samplers import distribution, quiet_optuna
from studies.space.search_space import SearchSpace
from studies.trial import TrialConfig, TrialResult, TrialState

if TYPE_CHECKING:
    import optuna

# Of simulated studies whose scores hang on the rate most, the rate comes first in all with 20 trials or more, and in
# three of four with 10.
MIN_TRIALS = 20
RATE = "lr"  # of any optimizer, as its place between its bounds
NUM_TREES = 32


def importances(trials: Sequence[TrialResult], space: SearchSpace, *, seed: int = 0) -> dict[str, float] | None:
    """Return the share of each hyperparameter in the differences between trials, the most important first.

    It is Optuna's fANOVA (Hutter, Hoos and Leyton-Brown 2014) on the ranks of the scores, so that one huge loss does
    not decide; a diverged trial ranks as it is told to the sampler. The rates of all optimizers count as one,
    `lr`, by their place between the bounds. Hyperparameters that some trials do not have, such as those of a
    schedule, and those with a single value have no share.

    Args:
        trials: of a study.
        space: what was searched.
        seed: of the forest of trees that explains the ranks.

    Returns:
        By name, shares that sum to 1; None for fewer than `MIN_TRIALS` trials that did not fail, or where all end
        alike.
    """
    ended = [trial for trial in trials if trial.state is not TrialState.FAILED]
    scores = [score for trial in ended if (score := score_for_engines(trial, ended)) is not None]
    searched = list(_searched(space))
    if len(ended) < MIN_TRIALS or len(set(scores)) == 1 or not searched:
        return None
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    ranks = {score: rank for rank, score in enumerate(sorted(set(scores)))}
    with quiet_optuna():
        study = optuna.create_study()
    study.add_trials(
        _as_optuna(trial.config, space, searched, ranks[score]) for trial, score in zip(ended, scores, strict=True)
    )
    evaluator = FanovaImportanceEvaluator(n_trees=NUM_TREES, seed=seed)
    return {name: float(share) for name, share in get_param_importances(study, evaluator=evaluator).items()}


def _searched(space: SearchSpace) -> Iterable[Dimension]:
    """Return the dimensions that every trial has and that have more than one value, the rate as its place."""
    for dimension in space.dimensions():
        if not dimension.conditions and (len(dimension.choices) > 1 or dimension.low < dimension.high):
            yield dimension
    yield Dimension(RATE, low=0.0, high=1.0)


def _as_optuna(
    config: TrialConfig, space: SearchSpace, searched: Sequence[Dimension], rank: int
) -> optuna.trial.FrozenTrial:
    import optuna

    found = space.range_of(config)
    assert found is not None, "the trials of a study lie in its space"
    place = math.log(config.lr / found.low) / math.log(found.highest_peak(space.schedules) / found.low)
    values: dict[str, Value] = {**config.parameters(), RATE: min(max(place, 0.0), 1.0)}
    return optuna.trial.create_trial(
        params={dimension.name: values[dimension.name] for dimension in searched},
        distributions={dimension.name: distribution(dimension) for dimension in searched},
        value=float(rank),
    )
