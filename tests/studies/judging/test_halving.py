"""Which trials go on at a rung: only against their own family at the same rung, and whatever the order they came in."""

import doctest
import itertools
import math

import pytest

from studies import TrialConfig, TrialResult, TrialState
from studies.judging import halving
from studies.judging.halving import behind, beyond_promotion, promoted, rungs, stays_behind

EPOCHS = 20


def config(schedule="fixed", **parameters):
    return TrialConfig("sgd", schedule, 0.1, 32, tuple(parameters.items()))


def trial(number, cost, *, schedule="fixed", state=TrialState.PRUNED, epochs=10, **parameters):
    """A trial that has reached so many epochs, with the same cost in each."""
    losses = (float(cost),) * epochs
    return TrialResult(number, config(schedule, **parameters), state, losses, losses, planned_epochs=EPOCHS)


def test_doctests_hold():
    assert doctest.testmod(halving).failed == 0


@pytest.mark.parametrize(
    ("schedule", "parameters", "epochs"),
    [
        ("cosine", {}, [10, 15]),
        ("exponential", {"warmup": 0.2}, [12, 16]),
        ("triangular", {"num_cycles": 8}, [10, 15]),
        ("triangular", {"num_cycles": 3}, [14]),
        ("triangular", {"num_cycles": 1}, []),
        ("one_cycle", {}, []),
    ],
)
def test_rungs_are_marks_at_half_and_three_quarters_of_a_schedule_or_next_after(schedule, parameters, epochs):
    assert [rung.epoch for rung in rungs(config(schedule, **parameters), EPOCHS)] == epochs


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_no_trial_stays_behind_at_its_last_epoch(epochs):
    for schedule in ("fixed", "triangular", "linear"):
        assert all(rung.epoch < epochs for rung in rungs(config(schedule), epochs))


def test_the_first_of_a_family_goes_on_and_of_any_number_one_third_does():
    for count in range(1, 12):
        others = [trial(number, number + 1) for number in range(count - 1)]
        go_on = [cost for cost in (rank + 0.5 for rank in range(count)) if not stays_behind(trial(99, cost), others)]
        assert len(go_on) == math.ceil(count / 3)


def test_a_trial_is_compared_with_its_own_family_alone_and_never_between_rungs():
    better = [trial(number, 0.0, schedule="cosine") for number in range(9)]
    better += [
        trial(10 + number, 0.0, state=state) for number, state in enumerate((TrialState.DIVERGED, TrialState.FAILED))
    ]
    early = [trial(20 + number, 0.0, epochs=9, state=TrialState.TIMED_OUT) for number in range(5)]

    assert not stays_behind(trial(99, 1.0), [*better, *early])
    assert not stays_behind(trial(99, 1.0, epochs=11), [trial(number, 0.0) for number in range(9)])


def test_a_trial_that_went_on_counts_at_a_rung_with_what_it_had_shown_there():
    losses = (1.0,) * 10 + (0.0,) * 10
    later = TrialResult(1, config(), TrialState.COMPLETED, losses, losses, planned_epochs=EPOCHS)

    assert not stays_behind(trial(99, 0.9), [later])
    assert stays_behind(trial(99, 1.1), [later])
    assert stays_behind(trial(99, 0.5, epochs=15), [later])


def test_a_trial_that_was_promoted_passes_the_rung_at_which_it_stayed_behind():
    others = [trial(number, 0.0, epochs=EPOCHS, state=TrialState.COMPLETED) for number in range(4)]

    assert stays_behind(trial(99, 1.0), others)
    assert not stays_behind(trial(99, 1.0), others, passed=10)
    assert stays_behind(trial(99, 1.0, epochs=15), others, passed=10)


def test_trials_are_promoted_when_they_come_among_the_best_third_the_furthest_first():
    results = [trial(0, 0.1, epochs=EPOCHS, state=TrialState.COMPLETED), trial(1, 0.2), trial(2, 0.3)]
    assert promoted(results) == []

    results += [trial(3, 0.4, state=TrialState.PRUNED)]  # at half two of four go on
    assert [one.number for one in promoted(results)] == [1]

    results += [trial(4, 0.15, epochs=15), trial(5, 0.16, epochs=15), trial(6, 0.17, epochs=15)]
    # Of seven at half 0, 4 and 5 are the best three; of four at three quarters 0 and 4 are the best two.
    assert [one.number for one in promoted(results)] == [4]

    results += [trial(number, number) for number in range(7, 13)]  # of 13 at half five go on
    assert [one.number for one in promoted(results)] == [4, 1]
    assert [one.number for one in behind(results)][:4] == [4, 5, 6, 1]


def test_what_goes_on_does_not_depend_on_the_order_of_the_results():
    results = [trial(number, cost) for number, cost in enumerate((5, 1, 4, 1, 3, 2, 6))]
    for several in itertools.islice(itertools.permutations(results), 0, 5040, 97):
        assert [one.number for one in promoted(several)] == [1, 3, 5]


@pytest.mark.parametrize("num_to_come", [0, 1, 3, 6])
def test_a_trial_beyond_promotion_stays_behind_if_all_that_come_are_worse(num_to_come):
    results = [trial(0, 0.0, epochs=EPOCHS, state=TrialState.COMPLETED)]
    results += [trial(number, number) for number in range(1, 6)]
    worse = [trial(10 + number, 10 + number) for number in range(num_to_come)]
    at_the_end = {one.number for one in promoted([*results, *worse])}

    assert {one.number for one in beyond_promotion(results, num_to_come)} == set(range(1, 6)) - at_the_end


def test_a_trial_at_a_later_rung_is_kept_while_others_may_come_to_it():
    results = [trial(number, number / 10) for number in range(6)]
    results += [trial(10 + number, -1 + number / 10, epochs=15) for number in range(3)]
    paused = {one.number for one in beyond_promotion(results, 0)}

    assert 10 not in paused
    assert {3, 4, 5} <= paused
