"""Shows that what decides how trials end is found to matter, with either engine's results, and nothing is made up."""

import math

import numpy as np
import pytest

from studies import Dimension, OptimizerRange, SearchSpace, TrialConfig, TrialResult, TrialState
from studies.analysis.importance import MIN_TRIALS, RATE, importances, left_out

SPACE = SearchSpace(
    (OptimizerRange("sgd", 0.01, 1.0), OptimizerRange("adam", 1e-4, 0.1)),
    ("fixed", "step"),
    (32, 64),
    own=(Dimension("units", low=8, high=64, integer=True),),
)
DECIDES = {
    RATE: lambda config, place: (place - 0.5) ** 2,
    "optimizer": lambda config, place: float(config.optimizer_name == "sgd"),
    "schedule": lambda config, place: float(config.schedule == "fixed"),
    "batch_size": lambda config, place: float(config.batch_size),
    "units": lambda config, place: -float(dict(config.own)["units"]),
}


def study(score, num_trials=40, *, ends=lambda number: TrialState.COMPLETED):
    rng = np.random.default_rng(1)
    trials = []
    for number in range(num_trials):
        found = SPACE.optimizers[rng.integers(2)]
        place = rng.uniform()
        schedule = str(rng.choice(SPACE.schedules))
        config = TrialConfig(
            found.name,
            schedule,
            found.low * (found.high / found.low) ** place,
            int(rng.choice(SPACE.batch_sizes)),
            (("drop_factor", 0.5), ("num_drops", 2)) if schedule == "step" else (),
            own=(("units", int(rng.integers(8, 65))),),
        )
        loss = score(config, place) + 0.01 * rng.normal()
        trials.append(TrialResult(number, config, ends(number), (loss,), (loss,)))
    return trials


@pytest.mark.parametrize("name", DECIDES)
def test_what_decides_the_scores_has_the_largest_share(name):
    shares = importances(study(DECIDES[name]), SPACE)

    assert next(iter(shares)) == name
    assert shares[name] > 0.5
    assert set(shares) == set(DECIDES)  # the step's own values are not in every trial
    assert math.isclose(sum(shares.values()), 1.0)


def test_one_huge_loss_does_not_decide():
    trials = study(DECIDES["optimizer"])
    huge = TrialResult(len(trials), trials[0].config, TrialState.COMPLETED, (1e9,), (1e9,))

    assert next(iter(importances([*trials, huge], SPACE))) == "optimizer"


def test_a_rate_at_which_trials_diverge_matters():
    def loss(config, place):
        return math.nan if place > 0.6 else 1.0

    trials = study(loss)
    trials = [
        TrialResult(t.number, t.config, TrialState.DIVERGED, t.train_losses, t.val_losses) if t.score is None else t
        for t in trials
    ]
    assert next(iter(importances(trials, SPACE))) == RATE


def test_too_few_trials_or_trials_that_all_end_alike_have_no_shares():
    assert importances(study(DECIDES[RATE], MIN_TRIALS - 1), SPACE) is None
    assert importances(study(DECIDES[RATE], MIN_TRIALS, ends=lambda number: TrialState.FAILED), SPACE) is None
    same = study(DECIDES[RATE])
    same = [TrialResult(t.number, t.config, t.state, (1.0,), (1.0,)) for t in same]
    assert importances(same, SPACE) is None


def test_the_same_trials_have_the_same_shares_whatever_was_drawn_before():
    trials = study(DECIDES[RATE])
    np.random.seed(7)
    first = importances(trials, SPACE)
    np.random.seed(8)

    assert importances(trials, SPACE) == first


def test_what_only_some_trials_have_is_named_as_left_out():
    assert set(left_out(SPACE)) == {"step__drop_factor", "step__num_drops"}
