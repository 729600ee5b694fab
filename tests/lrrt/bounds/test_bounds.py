"""What is true of reading range curves and of the bounds made of them."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrrt import Bounds, Ramp, RangeCurve, Stop, Verdict, find_bounds
from lrrt.comparison import compare, in_words
from lrrt.reading import read_curve
from lrrt.smoothing import find_breakdown, loss_deltas, noise_of, smooth

LRS = Ramp().rates()


def falling(*, fall_at=1e-2, diverge_at=0.3, noise=0.02, seed=0, num_steps=100):
    """A curve as real ones are: level, a fall of 1 around `fall_at`, a quadratic rise from `diverge_at`."""
    lrs = Ramp(num_steps=num_steps).rates()
    clean = 2.0 - 1.0 / (1 + (fall_at / lrs) ** 2) + (lrs / diverge_at) ** 2
    return lrs, clean + noise * np.random.default_rng(seed).standard_normal(num_steps)


def curve(lrs, losses):
    return RangeCurve(tuple(map(float, lrs)), tuple(map(float, losses)))


def three(make=falling, **arguments):
    return [curve(*make(seed=seed, **arguments)) for seed in range(3)]


def rates_of(bounds):
    return [bounds.low, bounds.high, bounds.suggested, bounds.lowest, bounds.steepest, bounds.diverged]


def test_a_fall_and_a_rise_give_bounds_around_the_fall():
    found = find_bounds(three())

    assert found.verdict is Verdict.FOUND
    assert found.low < 1e-2 < found.suggested * 2 < found.high < 0.5
    assert 1.3 < found.decades < 1.31
    assert 3e-3 < found.steepest < found.lowest < found.diverged


@given(scale=st.floats(0.01, 1e3), shift=st.floats(-100, 100), seed=st.integers(0, 20))
@settings(max_examples=40)
def test_bounds_do_not_move_when_losses_are_scaled_and_shifted(scale, shift, seed):
    lrs, losses = falling(seed=seed)
    plain, moved = find_bounds([curve(lrs, losses)]), find_bounds([curve(lrs, scale * losses + shift)])

    assert plain.verdict is moved.verdict
    np.testing.assert_allclose(rates_of(plain), rates_of(moved), rtol=1e-9)


@given(factor=st.sampled_from([1e-3, 0.1, 10.0, 1e3]), seed=st.integers(0, 20))
@settings(max_examples=20)
def test_bounds_move_with_the_rates(factor, seed):
    lrs, losses = falling(seed=seed)
    plain, moved = find_bounds([curve(lrs, losses)]), find_bounds([curve(factor * lrs, losses)])

    assert plain.verdict is moved.verdict
    np.testing.assert_allclose(factor * np.array(rates_of(plain)), rates_of(moved), rtol=1e-6)


@given(seed=st.integers(0, 1000), fall_at=st.floats(1e-5, 1e-2), width=st.floats(3, 100), noise=st.floats(0, 0.3))
@settings(max_examples=60)
def test_bounds_are_ordered_and_within_reason_or_absent(seed, fall_at, width, noise):
    found = find_bounds([curve(*falling(fall_at=fall_at, diverge_at=width * fall_at, noise=noise, seed=seed))])

    assert (found.low is None) == (found.high is None) == (found.suggested is None)
    if found.low is not None:
        is_hidden = "only its rise is seen" in found.reason
        assert 0 < found.low <= found.suggested <= found.high <= (LRS[-1] if is_hidden else found.diverged) <= LRS[-1]


def test_a_cycle_may_climb_to_the_lowest_point_where_that_is_above_a_constant_rate():
    """Smith (2018, section 4.1): a constant rate must be smaller than the maximum of a cycle."""
    found = find_bounds(three())
    higher, lower = (replace(found, lowest=factor * found.high) for factor in (2, 0.5))

    assert (higher.cyclical_high, lower.cyclical_high) == (higher.lowest, lower.high)
    assert Bounds(None, None, None, Verdict.FLAT, "").cyclical_high is None


def test_the_best_of_two_is_named_with_doubt_only_where_their_repeats_overlap():
    near, far = three(), [curve(LRS, 1 + np.array(found.losses)) for found in three()]
    bounds = {"a": find_bounds(near), "b": find_bounds(near)}
    sure, unsure = (in_words(compare({"a": near, "b": other}, bounds)) for other in (far, near))

    assert sure.startswith("a reached the lowest loss, ")
    assert "overlap" not in sure
    assert "but its repeats overlap with those of b, so the order may be chance" in unsure


def test_where_noise_hides_the_fall_the_bounds_reach_far_above_the_first_rise():
    """A network that 100 steps teach nothing does best near the limit of stability, and its loss rises long before."""
    losses = 2 + np.random.default_rng(0).normal(0, 1e-3, len(LRS)) + 0.05 * LRS
    found = find_bounds([curve(LRS, losses)])

    assert found.verdict is Verdict.LOW_CONFIDENCE
    assert found.diverged < found.high <= LRS[-1]
    assert found.suggested == pytest.approx(np.sqrt(found.low * found.high))


def test_a_loss_that_stays_just_below_its_start_has_lost_what_it_learnt():
    """A classifier that answers every sample alike has a lower loss than an untrained one, and never diverges."""
    losses = np.where(LRS > 0.2, 2.35, 2.4 - 0.4 / (1 + (1e-2 / LRS) ** 2))
    found = find_bounds([curve(LRS, losses)], optimizer="sgd")

    assert found.diverged == pytest.approx(LRS[-1])
    assert 0.05 < found.high < 0.2


def test_rates_are_good_until_three_quarters_of_what_was_learnt_are_lost():
    def edge(part_lost):
        places = np.log([1e-6, 1e-4, 1e-3, 2e-3, 4e-3, 4e-2, 3e-1, 1.0])
        lrs = np.geomspace(1e-6, 1.0, 200)
        losses = np.interp(np.log(lrs), places, [1, 1, 0, 0, part_lost, part_lost, 2, 2])
        return read_curve(curve(lrs, losses + np.random.default_rng(0).normal(0, 1e-3, 200))).edge

    assert edge(0.7) > 2 * edge(0.8)


def test_each_optimizer_is_given_the_rates_that_it_does_best_with():
    """The order of the good rates' centres below the edge, over seven tasks."""
    kinds = ["heavy momentum", "lion", "momentum", "adam", None, "sgd"]
    bounds = [find_bounds(three(), optimizer=kind) for kind in kinds]

    assert [found.suggested for found in bounds] == sorted({found.suggested for found in bounds})
    assert [found.decades for found in bounds] == pytest.approx([bounds[0].decades] * len(kinds))
    assert find_bounds(three(), optimizer="adamw") == find_bounds(three(), optimizer="adam")


def test_bounds_of_ftrl_reach_far_above_what_its_curve_shows():
    """Its first step forgets the initial weights, so that the curve does not show what a training bears."""
    whole = three()
    ended = [curve(one.lrs[:88], one.losses[:88]) for one in whole]  # soon after its loss rose
    adagrad, ftrl, again = (
        find_bounds(curves, optimizer=optimizer)
        for curves, optimizer in ((whole, "adagrad"), (whole, "ftrl"), (ended, "ftrl"))
    )

    assert again.high == ftrl.high
    assert ftrl.low == adagrad.low
    assert 10 * adagrad.high > ftrl.high > 5 * adagrad.high
    assert ftrl.verdict is Verdict.LOW_CONFIDENCE


def test_the_longer_the_training_the_lower_the_bounds():
    usual, short, long, longer = (
        find_bounds(three(), optimizer="adam", training_steps=steps) for steps in (None, 520, 5_000, 50_000)
    )

    assert short.suggested == pytest.approx(usual.suggested, rel=0.05)
    assert longer.suggested / long.suggested == pytest.approx(10**-0.3)
    assert longer.decades == pytest.approx(usual.decades)
    assert (usual.training_steps, longer.training_steps) == (None, 50_000)


def test_no_length_lifts_bounds_above_what_a_short_training_bears():
    one, hundred = (find_bounds(three(), optimizer="sgd", training_steps=steps) for steps in (1, 100))

    assert one.suggested == pytest.approx(hundred.suggested, rel=0.05)
    assert one.high <= one.diverged


def test_a_length_counts_in_steps_of_the_ramp():
    """Three times as many steps a decade bring the edge down, about as far as three times as long a training does."""
    coarse, fine = (find_bounds(three(noise=0, num_steps=steps), training_steps=100 * steps) for steps in (100, 300))

    assert fine.suggested == pytest.approx(coarse.suggested, rel=0.1)


def test_bounds_are_higher_and_uncertain_while_moving_averages_lag():
    plain, short, long = (
        find_bounds(three(), optimizer="sgd", training_steps=steps, averaging_steps=averaging)
        for steps, averaging in ((220, None), (220, 100.0), (1_000, 100.0))
    )

    assert short.suggested == pytest.approx(2.5 * plain.suggested)
    assert short.high == pytest.approx(5 * plain.high)
    assert short.verdict is Verdict.LOW_CONFIDENCE
    assert "in so few updates BatchNorm's moving averages lag behind the weights; train longer" in short.reason
    assert (plain.verdict, long.verdict) == (Verdict.FOUND, Verdict.FOUND)
    assert find_bounds(three(), averaging_steps=100.0).verdict is Verdict.FOUND


@pytest.mark.parametrize("steps", [0, -5, np.nan, np.inf, 10**400])
def test_a_length_that_is_none_is_refused(steps):
    with pytest.raises(ValueError, match=r"`training_steps` must be >= 1 and < 1e\+18, or None if not known, got"):
        find_bounds(three(), training_steps=steps)


@pytest.mark.parametrize("steps", [2e3, np.int64(2_000), np.float32(2_000)])
def test_a_length_may_be_any_kind_of_number(steps):
    found = find_bounds(three(), training_steps=steps, averaging_steps=np.float32(100))

    assert found == find_bounds(three(), training_steps=2_000, averaging_steps=100.0)
    assert json.loads(json.dumps(found))["training_steps"] == 2_000


def test_one_wild_repeat_of_three_hardly_moves_the_bounds():
    wild = curve(*falling(fall_at=1e-4, diverge_at=3e-3))
    bounds, with_wild = find_bounds(three()), find_bounds([*three()[:2], wild])

    assert abs(np.log10(with_wild.low / bounds.low)) < 0.2
    assert with_wild.verdict is Verdict.LOW_CONFIDENCE


@pytest.mark.parametrize(
    ("curves", "reason"),
    [
        ([*three()[:2], curve(*falling(fall_at=1e-4, diverge_at=3e-3))], "repeats differ by a factor of .*; raise rep"),
        ([*three()[:2], curve(LRS, np.full(100, 2.0))], "only 2 of 3 repeats showed them; raise repeats"),
        ([curve(*falling(noise=0.5, seed=1))], "hardly more than its noise; raise num_steps"),
        ([curve(LRS[61:], falling()[1][61:])], "low lies below the first rate that was tried, .*; lower start_lr"),
        (
            [curve(*falling(noise=0.5, seed=2))],
            "noise hides the fall of the loss, and only its rise is seen; raise num_st",
        ),
    ],
)
def test_uncertain_bounds_come_with_why_and_what_helps(curves, reason):
    found = find_bounds(curves)

    assert found.verdict is Verdict.LOW_CONFIDENCE
    assert re.search(f"^{Verdict.LOW_CONFIDENCE.value}: .*{reason}", found.reason)


def with_values(places, values):
    lrs, losses = falling()
    losses[places] = values
    return curve(lrs, losses)


def noise_only(seed):
    return curve(LRS, 2 + 0.3 * np.random.default_rng(seed).standard_normal(100))


SEEMING_FALLS = 0, 1, 6  # seeds of noise whose smoothed losses sink by more than half of all noise does
AT_FALL = int(np.searchsorted(LRS, 2e-2))
NEGATIVE = -1 - 4 / (1 + (1e-2 / LRS) ** 2) + (LRS / 0.1) ** 4
REACHING_0 = 2 - 2 / (1 + (1e-3 / LRS) ** 2) + (LRS / 0.3) ** 2


@pytest.mark.parametrize(
    ("curves", "verdict"),
    [
        pytest.param([curve([1, 2, 3, 4, 5, 6], [10, 8, 4, 1, 4, 16])], Verdict.TOO_FEW_POINTS, id="six points"),
        pytest.param([curve(LRS, np.full(100, 3.0))], Verdict.FLAT, id="constant"),
        pytest.param([noise_only(seed) for seed in SEEMING_FALLS], Verdict.TOO_NOISY, id="noise that seems to fall"),
        pytest.param([curve(LRS, np.linspace(9, 1, 100))], Verdict.NEVER_DIVERGES, id="monotone"),
        pytest.param([curve(LRS, NEGATIVE)], Verdict.FOUND, id="negative, then diverging"),
        pytest.param([curve(LRS, REACHING_0)], Verdict.FOUND, id="reaching 0"),
        pytest.param([with_values(slice(AT_FALL + 5, None), np.nan)], Verdict.FOUND, id="NaN in the middle"),
        pytest.param([with_values(slice(98, None), np.nan)], Verdict.FOUND, id="NaN at the end"),
        pytest.param([with_values(slice(99, None), np.inf)], Verdict.FOUND, id="infinity at the end"),
        pytest.param([with_values(slice(95, None), 1e30)], Verdict.FOUND, id="1e30 at the end"),
        pytest.param([with_values(2, 50.0)], Verdict.FOUND, id="a spike in the first five"),
        pytest.param([with_values(0, np.nan)], Verdict.NON_FINITE, id="NaN at once"),
        pytest.param([with_values(slice(30, None), np.nan)], Verdict.NON_FINITE, id="NaN before any fall"),
        pytest.param([curve(LRS[-40:], 1 + 3 * np.arange(40.0))], Verdict.DIVERGES, id="rising from the start"),
    ],
)
def test_each_curve_gets_the_verdict_a_person_would_give(curves, verdict):
    assert find_bounds(curves).verdict is verdict


@pytest.mark.parametrize("seed", range(0, 30, 3))
def test_pure_noise_is_never_called_found(seed):
    found = find_bounds([noise_only(seed + repeat) for repeat in range(3)])

    assert found.verdict in (Verdict.FLAT, Verdict.TOO_NOISY)
    assert found.low is None


@pytest.mark.parametrize("verdict", [Verdict.FLAT, Verdict.NON_FINITE, Verdict.TOO_FEW_POINTS, Verdict.DIVERGES])
def test_where_there_is_no_answer_no_number_is_made_up(verdict):
    curves = {
        Verdict.FLAT: curve(LRS, np.full(100, 3.0)),
        Verdict.NON_FINITE: with_values(0, np.nan),
        Verdict.TOO_FEW_POINTS: curve(LRS[:5], [5, 4, 3, 2, 1]),
        Verdict.DIVERGES: curve(LRS[-40:], 1 + 3 * np.arange(40.0)),
    }
    found = find_bounds([curves[verdict]])

    assert rates_of(found) == [None] * 6
    assert found.decades is None
    assert verdict.value in found.reason


ANY_LOSSES = st.lists(st.floats() | st.floats(0, 3), max_size=60)


@st.composite
def any_curve(draw):
    """Any losses at any rates that a float holds, evenly spaced or not."""
    losses = draw(ANY_LOSSES)
    anywhere = st.sets(st.floats(5e-324, 1.7e308), min_size=len(losses), max_size=len(losses))
    start, decades = draw(st.sampled_from([1e-320, 1e-200, 1e-7, 1e151, 1e300])), draw(st.sampled_from([1e-12, 1, 8]))
    spaced = start * np.logspace(0, decades, len(losses)) if len(losses) else np.empty(0)
    lrs = sorted(draw(anywhere)) if draw(st.booleans()) else np.unique(spaced).tolist()
    measured = st.lists(st.floats() | st.floats(0, 3), min_size=len(lrs), max_size=len(lrs))
    untrained = draw(st.just([]) | measured)
    return RangeCurve(tuple(lrs), tuple(losses[: len(lrs)]), draw(st.sampled_from(Stop)), untrained=tuple(untrained))


@given(st.lists(any_curve(), min_size=1, max_size=3), st.sampled_from([None, "lion", "sgd"]))
@settings(max_examples=300, deadline=None)
def test_whatever_the_curves_there_is_a_verdict_and_bounds_in_order_or_none(curves, optimizer):
    found = find_bounds(curves, optimizer=optimizer)

    assert isinstance(found.verdict, Verdict)
    assert found.low is None or 0 < found.low <= found.suggested <= found.high < np.inf


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("second", [2.0, 1.9, 0.3])
def test_a_curve_that_comes_back_to_its_start_and_learns_again_is_read_in_one_valley(second, seed):
    first = np.interp(np.log(LRS), np.log([1e-4, 5e-4, 1.9e-3, 2e-3]), [2.3, 1.9, 1.9, 2.302])
    losses = np.where(LRS > 0.1, second, first) + np.random.default_rng(seed).normal(0, 0.02, len(LRS))
    found = find_bounds([curve(LRS, losses)])

    valleys = [(1e-4, 2e-3), (0.1, LRS[-1])]
    assert any(start <= 5 * found.suggested <= found.diverged and found.lowest < 1.001 * end for start, end in valleys)


def test_of_two_falls_that_come_equally_near_the_bottom_the_first_counts():
    """What learns again after it has lost all does so at rates that a training from the start does not bear."""
    first = np.interp(np.log(LRS), np.log([1e-4, 5e-4, 1.9e-3, 2e-3]), [2.3, 1.3, 1.3, 2.2])
    twice = np.where(LRS > 0.1, 1.29, first) + np.random.default_rng(0).normal(0, 0.01, len(LRS))
    found = find_bounds([curve(LRS, twice)])

    assert 4e-4 < found.lowest < 2e-3
    assert found.high < 2e-3


def test_rates_beyond_1e150_are_judged_as_all_others():
    lrs, losses = falling()
    plain, high = find_bounds([curve(lrs, losses)]), find_bounds([curve(1e160 * lrs, losses)])

    assert high.verdict is plain.verdict
    assert high.suggested == pytest.approx(1e160 * plain.suggested)


def test_losses_that_span_all_that_a_float_holds_are_judged_as_all_others():
    lrs, losses = falling(noise=0.01)
    losses = np.minimum(losses, 2.1)
    spread = (losses - (losses.max() + losses.min()) / 2) / np.ptp(losses)  # from -.5 to .5
    plain, huge = find_bounds([curve(lrs, spread)]), find_bounds([curve(lrs, 1e308 * (3.4 * spread))])

    np.testing.assert_allclose(rates_of(huge), rates_of(plain), rtol=1e-9)


def test_of_a_single_loss_nothing_is_known_of_its_noise():
    assert noise_of([1e-7], [2.0]) == float("inf")


@pytest.mark.parametrize("seed", range(5))
def test_a_fall_is_judged_by_the_noise_where_it_is_not_by_that_where_nothing_moves_yet(seed):
    """A text's losses are all alike until its network answers; then they scatter, and what dips by chance is no fall.

    From 1e-2 on they scatter by 100 times as much. The first one dips by a third of it, the other falls by 20 times it.
    """
    scatter = np.where(LRS < 1e-2, 1e-3, 0.1) * np.random.default_rng(seed).standard_normal(100)
    dip = np.where((LRS > 1e-2) & (LRS < 0.1), 0.03, 0.0) - LRS**2
    by_chance, by_learning = (find_bounds([curve(LRS, 2.0 - times * dip + scatter)]) for times in (1, 60))

    assert by_chance.verdict is not Verdict.FOUND
    assert by_learning.verdict is Verdict.FOUND


def test_an_empty_curve_among_others_is_a_repeat_that_showed_nothing():
    hidden = curve(*falling(noise=0.5, seed=2))
    for others in (three(), [hidden, hidden]):
        assert "showed them" in find_bounds([*others, curve([], [])]).reason


def test_a_verdict_says_after_how_many_curves_and_why_one_was_not_enough():
    doubtful = [curve(*falling(noise=0.4, seed=seed)) for seed in (3, 4, 5)]

    assert find_bounds(three()[:1]).reason == "bounds found (after 1 curve)"
    assert find_bounds(three()).reason == "bounds found (after 3 curves)"
    assert find_bounds(doubtful).reason == (
        "bounds found (after 3 curves, since of the first alone the loss fell by hardly more than its noise)"
    )
    assert find_bounds(doubtful[:1]).reason.endswith("raise num_steps, repeats or the batch size (after 1 curve)")
    assert find_bounds([curve(LRS, np.full(100, 2.0))] * 2).reason.endswith("(after 2 curves)")


@pytest.mark.parametrize("steps", [0.0, -1.0, float("nan")])
def test_moving_averages_over_less_than_a_step_are_refused(steps):
    with pytest.raises(ValueError, match="`averaging_steps` must be >= 1, or None without any, got"):
        find_bounds(three(), averaging_steps=steps)


def test_no_curve_is_refused():
    with pytest.raises(ValueError, match="must be given at least one curve, got none"):
        find_bounds([])


@pytest.mark.parametrize("rates", [(0.1, 0.01, 0.05), (0.1, None, 0.05), (-1.0, 1.0, 0.5), (0.1, 0.2, 0.3)])
def test_bounds_that_are_no_bounds_are_refused(rates):
    low, high, suggested = rates
    with pytest.raises(ValueError, match="`0 < low <= suggested <= high` must hold"):
        Bounds(low, high, suggested, Verdict.FOUND, "")


@pytest.mark.parametrize(
    ("lrs", "losses", "message"),
    [
        ((1.0, 2.0), (1.0,), "Each rate must have one loss, got 2 rates and 1 losses"),
        ((2.0, 1.0), (1.0, 1.0), "`lrs` must be positive and ascending"),
        ((0.0, 1.0), (1.0, 1.0), "`lrs` must be positive and ascending"),
    ],
)
def test_a_curve_that_is_no_curve_is_refused(lrs, losses, message):
    with pytest.raises(ValueError, match=message):
        RangeCurve(lrs, losses)


def test_a_run_is_cut_where_it_diverged():
    lrs, losses = falling(noise=0.0)
    whole = RangeCurve.from_run(lrs, losses)

    assert whole.stop is Stop.DIVERGED
    assert losses[len(whole.lrs)] > 3.0
    assert whole.lrs == tuple(lrs[: len(whole.lrs)])
    assert find_bounds([whole]) == find_bounds([curve(lrs, losses)])


def test_a_run_is_cut_where_it_became_non_finite():
    cut = RangeCurve.from_run(LRS, [3.0, 2.0, np.inf])

    assert (cut.stop, cut.losses) == (Stop.NON_FINITE, (3.0, 2.0))


def test_losses_that_only_waver_do_not_diverge():
    assert find_breakdown(LRS, 2 + 0.1 * np.sin(np.arange(100.0))) is None


def test_smoothing_moves_nothing_left_or_right():
    losses = np.random.default_rng(0).random(100)

    np.testing.assert_array_equal(smooth(LRS, losses[::-1]), smooth(LRS, losses)[::-1])


def test_loss_deltas_are_the_article_s():
    losses = np.random.default_rng(0).random(50)
    expected = [(losses[i] - losses[i - 20]) / 20 for i in range(20, 50)]

    np.testing.assert_allclose(loss_deltas(losses), expected)
