"""Verdicts on loss curves: right on made curves, blind to the losses' unit and zero, robust to noise."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies import overfitting
from studies.overfitting import LossCurves, OverfitVerdict, check_overfitting

EPOCHS = np.arange(40)
FALLING = np.exp(-EPOCHS / 8)
SIXTY_FOURTHS = st.integers(-640, 640).map(lambda number: number / 64)  # shifting and scaling them rounds nothing
CURVES = st.integers(1, 30).flatmap(
    lambda length: st.tuples(*(st.lists(SIXTY_FOURTHS, min_size=length, max_size=length) for _ in range(2)))
)


def noise(seed, scale, length=40):
    return np.random.default_rng(seed).normal(0, scale, length)


def test_doctests_hold():
    assert doctest.testmod(overfitting).failed == 0


def test_a_rise_while_training_goes_on_falling_is_overfitted():
    val = [1.0, 0.6, 0.5, 0.55, 0.7, 0.9]
    report = check_overfitting([1.0, 0.6, 0.4, 0.3, 0.2, 0.1], val)
    assert report.verdict is OverfitVerdict.OVERFITTED
    assert (report.best_epoch, report.best_val_loss, report.num_epochs) == (3, 0.5, 6)
    assert report.generalisation_gap == pytest.approx(0.1)
    assert report.rise == pytest.approx(0.4)


@pytest.mark.parametrize("best", [2, 3, 5])
def test_a_turn_without_noise_is_overfitted_after_few_epochs_too(best):
    val = [abs(epoch - best) / 10 + 0.6 for epoch in range(1, best + 4)]
    report = check_overfitting([0.8**epoch for epoch in range(1, best + 4)], val)
    assert (report.verdict, report.best_epoch) == (OverfitVerdict.OVERFITTED, best)
    assert report.noise == pytest.approx(0, abs=1e-9)


def test_a_rise_from_the_first_epoch_is_overfitted():
    report = check_overfitting(FALLING, 1 + EPOCHS / 40)
    assert (report.verdict, report.best_epoch) == (OverfitVerdict.OVERFITTED, 1)


def test_a_rise_of_both_losses_is_unstable():
    assert check_overfitting(1 + EPOCHS / 40, 1 + EPOCHS / 40).verdict is OverfitVerdict.UNSTABLE


def test_a_validation_loss_that_still_falls_is_underfitted():
    report = check_overfitting(2 * np.exp(-EPOCHS / 30), 2 * np.exp(-EPOCHS / 30) + 0.1)
    assert (report.verdict, report.best_epoch, report.rise) == (OverfitVerdict.UNDERFITTED, 40, 0.0)


def test_a_loss_that_comes_back_from_a_spike_is_not_underfitted():
    """A trial of the digits, which had stopped improving: it fell at its end, but not below its fifth epoch."""
    val = [0.416, 0.218, 0.346, 0.233, 0.173, 0.18, 0.391, 0.797, 0.265, 0.202]
    assert check_overfitting(FALLING[:10], val).verdict is OverfitVerdict.HEALTHY


@pytest.mark.parametrize("seed", range(20))
def test_a_fall_that_noise_could_make_is_not_underfitted(seed):
    val = 1 + noise(seed, 0.1)
    assert check_overfitting(FALLING, val).verdict is not OverfitVerdict.UNDERFITTED


def test_a_noisy_fall_is_mostly_underfitted():
    verdicts = [check_overfitting(FALLING, 1 - EPOCHS / 40 + noise(seed, 0.05)).verdict for seed in range(100)]
    assert verdicts.count(OverfitVerdict.UNDERFITTED) >= 95


def test_a_curve_that_levelled_off_is_healthy():
    assert check_overfitting(FALLING, np.exp(-EPOCHS / 5) + 0.2).verdict is OverfitVerdict.HEALTHY


def test_levelled_off_noise_is_seldom_called_overfitted():
    val = np.exp(-EPOCHS / 4)
    verdicts = [check_overfitting(FALLING, val + noise(seed, 0.05)).verdict for seed in range(200)]
    assert verdicts.count(OverfitVerdict.OVERFITTED) <= 0.1 * len(verdicts)


@pytest.mark.parametrize("num_epochs", [5, 6, 8])
def test_so_is_noise_over_few_epochs(num_epochs):
    verdicts = [
        check_overfitting(FALLING[:num_epochs], 1 + noise(seed, 0.1, num_epochs)).verdict for seed in range(1000)
    ]
    assert verdicts.count(OverfitVerdict.OVERFITTED) <= 0.1 * len(verdicts)


def test_a_rise_of_ten_times_the_noise_is_found():
    val = np.exp(-EPOCHS / 3) + 0.5 * np.maximum(0, EPOCHS / 39 - 0.3)
    verdicts = [check_overfitting(FALLING, val + noise(seed, 0.035)).verdict for seed in range(100)]
    assert verdicts.count(OverfitVerdict.OVERFITTED) >= 95


def test_one_spike_at_the_end_is_no_overfitting():
    val = np.exp(-EPOCHS / 4) + noise(0, 0.01)
    val[-1] += 1.0
    report = check_overfitting(FALLING, val)
    assert report.verdict is OverfitVerdict.HEALTHY
    assert report.rise > 0.9


def test_the_noise_is_estimated_within_a_third():
    estimates = [check_overfitting(FALLING, 1 + noise(seed, 0.1, 40)).noise for seed in range(100)]
    assert np.mean(estimates) == pytest.approx(0.1, rel=0.33)


def test_curves_that_only_fall_have_no_noise():
    assert check_overfitting(FALLING, FALLING).noise == 0.0


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_diverged_and_its_best_epoch_is_kept(broken):
    report = check_overfitting([1.0, 0.5, broken], [1.1, 0.6, broken])
    assert report.verdict is OverfitVerdict.DIVERGED
    assert (report.best_epoch, report.best_val_loss, report.rise, report.noise) == (2, 0.6, None, None)


def test_a_training_without_a_finite_loss_has_no_best_epoch():
    report = check_overfitting([math.nan], [math.nan])
    assert report.verdict is OverfitVerdict.DIVERGED
    assert (report.best_epoch, report.best_val_loss, report.generalisation_gap) == (None, None, None)


def test_the_gap_is_none_where_the_training_loss_is_not_finite():
    assert check_overfitting([math.nan, 1.0], [0.5, 1.0]).generalisation_gap is None


@pytest.mark.parametrize("num_epochs", [1, 4])
def test_few_epochs_are_not_judged(num_epochs):
    report = check_overfitting([1.0] * num_epochs, [1.0] * num_epochs)
    assert (report.verdict, report.best_epoch) == (OverfitVerdict.TOO_FEW_EPOCHS, 1)


def test_more_epochs_can_be_asked_for():
    assert check_overfitting([1.0] * 9, [1.0] * 9, min_epochs=10).verdict is OverfitVerdict.TOO_FEW_EPOCHS


@settings(max_examples=300)
@given(CURVES)
def test_verdicts_do_not_change_when_losses_are_scaled_or_shifted(curves):
    train, val = map(np.array, curves)
    verdict, best_epoch = (report := check_overfitting(train, val)).verdict, report.best_epoch
    for scale, shift in ((128, 0), (1, 7), (100, 0), (100, -700)):
        other = check_overfitting(scale * train + shift, scale * val + shift)
        assert (other.verdict, other.best_epoch) == (verdict, best_epoch)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("shift", [0.0, 7.0, -7.0])
@pytest.mark.parametrize(
    ("val", "verdict"),
    [
        (2 * np.exp(-EPOCHS / 30), OverfitVerdict.UNDERFITTED),
        (np.exp(-EPOCHS / 5), OverfitVerdict.HEALTHY),
        (np.exp(-EPOCHS / 5) + EPOCHS / 100, OverfitVerdict.OVERFITTED),
    ],
)
def test_smooth_curves_are_judged_alike_in_any_unit(val, verdict, scale, shift):
    assert check_overfitting(scale * FALLING + shift, scale * val + shift).verdict is verdict


@given(CURVES)
def test_numbers_of_a_report_are_plain_and_agree_with_the_losses(curves):
    train, val = curves
    report = check_overfitting(train, val)
    assert report.best_val_loss == min(val) == val[report.best_epoch - 1]
    assert report.generalisation_gap == val[report.best_epoch - 1] - train[report.best_epoch - 1]
    assert report.rise == val[-1] - min(val) >= 0
    assert report.reason.startswith(report.verdict.value)
    assert {type(report.best_val_loss), type(report.generalisation_gap), type(report.rise)} == {float}


@pytest.mark.parametrize("made_by", [check_overfitting, LossCurves.from_losses])
@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        ([], [], "one epoch at least, got none"),
        ([1.0], [1.0, 2.0], "got 1 training and 2 validation losses"),
        ([1.0], ["low"], "`validation` must hold numbers, got 'low'"),
        ([None], [1.0], "`train` must hold numbers, got None"),
        ([True], [1.0], "got True"),
    ],
)
def test_losses_that_are_no_curves_are_refused(made_by, train, val, message):
    with pytest.raises(ValueError, match=message):
        made_by(train, val)


def test_thresholds_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`min_epochs` must be at least 5, got 2"):
        check_overfitting([1.0], [1.0], min_epochs=2)
    with pytest.raises(ValueError, match="`noise_factor` must be positive and finite, got 0"):
        check_overfitting([1.0], [1.0], noise_factor=0)
