"""What is true of curves whose batches were measured untrained as well."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrrt import Ramp, RangeCurve, Verdict, find_bounds
from lrrt.judging import more_would_help, shows_bounds
from lrrt.recording import repeated

LRS = Ramp().rates()
CLEAN = 2.0 - 1.0 / (1 + (1e-2 / LRS) ** 2) + (LRS / 0.3) ** 2


def measured(*, seed=0, difficulty=3.0, noise=0.1, scale=1.0, shift=0.0):
    """A curve of batches that differ by far more than is learnt; what they differ by now grows with what is learnt."""
    rng = np.random.default_rng(seed)
    batches = 2.0 + difficulty * rng.standard_normal(len(LRS))
    losses = batches + (CLEAN - 2.0) * (1 + noise * rng.standard_normal(len(LRS)))
    return RangeCurve(
        tuple(LRS), tuple(scale * losses + shift), seed=seed, untrained=tuple(scale * batches + shift), num_steps=100
    )


def rates_of(bounds):
    return [bounds.low, bounds.high, bounds.suggested]


@pytest.mark.parametrize("seed", range(5))
def test_bounds_are_those_of_a_curve_without_the_difficulty_of_its_batches(seed):
    quiet = find_bounds([RangeCurve(tuple(LRS), tuple(CLEAN))])
    found = find_bounds([measured(seed=seed)])
    without = find_bounds([replace(measured(seed=seed), untrained=())])

    assert found.verdict is Verdict.FOUND
    assert found.reason == "bounds found (after 1 curve, from which the untrained losses of its batches are subtracted)"
    assert quiet.suggested / 2 < found.suggested < 2 * quiet.suggested
    assert without.verdict is not Verdict.FOUND


@given(scale=st.floats(0.01, 1e3), shift=st.floats(-1, 1), seed=st.integers(0, 20))
@settings(max_examples=20)
def test_they_do_not_move_when_losses_are_scaled_and_shifted(scale, shift, seed):
    plain, moved = find_bounds([measured(seed=seed)]), find_bounds([measured(seed=seed, scale=scale, shift=shift)])

    assert plain.verdict is moved.verdict
    np.testing.assert_allclose(rates_of(plain), rates_of(moved), rtol=1e-6)


def test_noise_alone_hardly_ever_shows_bounds():
    """What scatters with the rate, and neither falls nor rises, is no fall: so it is in 99 of 100."""
    curves = [measured(seed=seed) for seed in range(100)]
    noise = LRS * np.random.default_rng(1).standard_normal((100, len(LRS)))
    alone = [
        replace(curve, losses=tuple(np.asarray(curve.untrained) + row))
        for curve, row in zip(curves, noise, strict=True)
    ]

    assert sum(map(shows_bounds, alone)) <= 3
    assert all(map(shows_bounds, curves))


def test_a_curve_that_leaves_doubt_is_made_quieter_before_there_is_another():
    curves = list(repeated(lambda *_: replace(measured(), untrained=()), LRS, 3, lambda *_: measured()))

    assert more_would_help([replace(measured(), untrained=())])
    assert curves == [measured()]


def test_a_curve_stays_as_it_was_if_it_is_not_without_doubt_then():
    """A fall that has not ended, and a rise alone, are read from what was trained."""
    noisy = replace(measured(), untrained=())
    falling = replace(measured(), losses=tuple(np.asarray(measured().untrained) - 1e-3 * LRS))

    (curve,) = repeated(lambda *_: noisy, LRS, 1, lambda *_: falling, may_begin_later=False)
    assert curve == replace(falling, untrained=())


def test_a_clear_curve_needs_nothing_else():
    clear = RangeCurve(tuple(LRS), tuple(CLEAN))

    assert list(repeated(lambda *_: clear, LRS, 3, lambda *_: pytest.fail("it was measured"))) == [clear]


def test_untrained_losses_are_one_for_each_rate_or_none():
    with pytest.raises(ValueError, match="one untrained loss, or none must, got 2 rates and 1 untrained losses"):
        RangeCurve((1.0, 2.0), (1.0, 1.0), untrained=(1.0,))
