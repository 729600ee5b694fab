"""When a trial may end early: never before its schedule's phase allows it, and only against its own family."""

import doctest

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studies import (
    FAMILIES,
    OverfitVerdict,
    TrialConfig,
    TrialResult,
    TrialState,
    check_overfitting,
)
from studies.judging import pruning
from studies.judging.pruning import MIN_PEERS, has_stopped_improving, is_worse_than_its_peers
from studies.schedules.marks import marks

EPOCHS = 20
FALLING = tuple(1.0 / epoch for epoch in range(1, EPOCHS + 1))


def config(schedule="exponential", **parameters):
    return TrialConfig("sgd", schedule, 0.1, 32, tuple(parameters.items()))


def peers(schedule="exponential", level=0.0, count=MIN_PEERS, state=TrialState.COMPLETED, length=EPOCHS, **parameters):
    losses = tuple(loss + level for loss in FALLING[:length])
    return [TrialResult(n, config(schedule, **parameters), state, losses, losses) for n in range(count)]


def trial(candidate, val_losses):
    return TrialResult(99, candidate, TrialState.COMPLETED, val_losses, val_losses, planned_epochs=EPOCHS)


def cut_at(candidate, val_losses, others):
    """Return the epochs at which the trial would be cut, had it not been before."""
    return [
        epoch for epoch in range(1, EPOCHS + 1) if is_worse_than_its_peers(trial(candidate, val_losses[:epoch]), others)
    ]


def test_doctests_hold():
    assert doctest.testmod(pruning).failed == 0


@pytest.mark.parametrize(
    ("schedule", "parameters", "epochs"),
    [
        ("fixed", {}, [10, 15]),
        ("cosine", {}, [10, 15]),
        ("linear", {"decay_fraction": 0.5}, [5, 8]),
        ("exponential", {"warmup": 0.2}, [12, 16]),
        ("triangular", {"num_cycles": 4.0}, [5, 10, 15]),
        ("triangular2", {"num_cycles": 1.0}, []),
        ("cosine_restarts", {"num_cycles": 2.0}, [10]),
        ("one_cycle", {}, []),
    ],
)
def test_trials_are_compared_at_cycle_ends_or_half_and_three_quarters_of_a_decay(schedule, parameters, epochs):
    assert [mark.epoch for mark in marks(schedule, parameters, EPOCHS)] == epochs


def test_a_trial_that_is_worse_than_the_median_of_its_peers_is_cut_at_a_mark_only():
    worse = tuple(loss + 0.5 for loss in FALLING)
    assert cut_at(config(), worse, peers()) == [10, 15]


def test_a_trial_that_is_better_than_half_of_its_peers_is_not_cut():
    others = peers(level=0.1, count=3) + peers(level=-0.1, count=2)
    assert cut_at(config(), FALLING, others) == []


def test_other_families_and_failed_trials_are_no_peers():
    worse = tuple(loss + 0.5 for loss in FALLING)
    assert cut_at(config(), worse, peers("cosine") + peers(state=TrialState.DIVERGED)) == []


def test_few_peers_cut_nothing():
    worse = tuple(loss + 0.5 for loss in FALLING)
    assert cut_at(config(), worse, peers(count=MIN_PEERS - 1)) == []


def test_cycles_are_compared_with_peers_that_had_no_more_of_their_schedule():
    """The first of two cycles ends at half of the training: a trial of four has no peers before, and later it is
    compared with what they had there."""
    others = peers("triangular", num_cycles=2.0)
    between = tuple(loss + 0.01 for loss in FALLING)
    assert cut_at(config("triangular", num_cycles=4.0), between, others) == [10]


def test_a_flat_trial_is_cut_after_a_quarter_of_the_training():
    assert cut_at(config(), (0.01,) * EPOCHS, peers()) == list(range(5, EPOCHS + 1))


@pytest.mark.parametrize(("moved", "is_cut"), [(0.005, True), (0.015, False)])
def test_a_trial_is_flat_if_its_losses_move_by_less_than_a_hundredth_of_what_its_peers_do(moved, is_cut):
    wavering = (0.01, 0.01 + moved) * (EPOCHS // 2)
    assert (5 in cut_at(config(), wavering, peers())) == is_cut


def test_a_trial_that_was_cut_is_not_compared_with_beyond_its_end():
    short = peers(state=TrialState.PRUNED, length=10)
    worse = tuple(loss + 0.5 for loss in FALLING)
    assert cut_at(config(), worse, short) == [10]


def test_a_decay_is_given_to_its_middle_and_then_its_patience():
    rising = (0.5, *(1.0,) * (EPOCHS - 1))
    ended = [n for n in range(1, EPOCHS) if has_stopped_improving(config(), rising[:n], epochs=EPOCHS, patience=0.25)]
    assert ended[0] == 15


def test_cycles_end_only_after_a_whole_one_that_brought_nothing():
    rising = (0.5, *(1.0,) * (EPOCHS - 1))
    cyclical = config("triangular", num_cycles=4.0)
    assert [
        n for n in range(1, EPOCHS) if has_stopped_improving(cyclical, rising[:n], epochs=EPOCHS, patience=0.05)
    ] == [10, 15]


def test_cycles_shorter_than_the_patience_are_given_all_of_it():
    rising = (0.5, *(1.0,) * (EPOCHS - 1))
    cyclical = config("triangular", num_cycles=8.0)
    ended = [n for n in range(1, EPOCHS) if has_stopped_improving(cyclical, rising[:n], epochs=EPOCHS, patience=0.5)]
    assert ended == [13, 15, 18]


@settings(max_examples=300)
@example("fixed", [*range(20, 2, -1), 3.2, 3.1], 0.05)  # two epochs without improvement, on a loss that falls
@given(
    st.sampled_from(sorted(FAMILIES)),
    st.lists(st.integers(0, 640).map(lambda number: number / 64), min_size=1, max_size=40),
    st.floats(0.01, 1.0),
)
def test_no_trial_that_stopped_improving_is_said_to_be_still_falling(schedule, losses, patience):
    """The verdict tells to train longer; of a trial that was ended for want of improvement that would be wrong."""
    epochs = len(losses) + 1
    if has_stopped_improving(config(schedule), losses, epochs=epochs, patience=patience):
        assert check_overfitting(losses, losses).verdict is not OverfitVerdict.UNDERFITTED


@given(
    st.sampled_from(sorted(FAMILIES)),
    st.integers(1, 40),
    st.lists(st.floats(-5, 5) | st.just(float("nan")), min_size=1, max_size=40),
    st.floats(0.01, 1.0),
)
def test_no_trial_ends_before_half_of_its_decay_or_its_first_cycle(schedule, epochs, losses, patience):
    losses = losses[:epochs]
    if has_stopped_improving(config(schedule), losses, epochs=epochs, patience=patience):
        found = marks(schedule, {}, epochs)
        assert len(losses) > found[0].epoch
        assert not FAMILIES[schedule].is_cyclical or len(losses) in {mark.epoch for mark in found}


def test_no_patience_ends_nothing():
    assert not has_stopped_improving(config(), [0.1, *np.ones(19)], epochs=20, patience=None)
