"""What is true of bounds that short trainings have sharpened."""

import math
from dataclasses import replace
from itertools import chain

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lrrt import Bounds, Loops, Ramp, Verdict, run_range_test
from lrrt.batches import as_batches
from lrrt.confirmation import confirm, outwards
from lrrt.sharpening import sharpen
from lrrt.short_trainings import Confirmation

LRS = tuple(np.geomspace(1e-3, 3e-2, 5).tolist())
BOUNDS = Bounds(1e-3, 3e-2, 4e-3, Verdict.FOUND, "bounds found", lowest=1e-2)


def seen(val_losses, train_losses=None, error=0.01):
    """What was seen where the losses began at 2."""
    train_losses = val_losses if train_losses is None else train_losses
    errors = [None if loss is None else error for loss in train_losses]
    return Confirmation(LRS, tuple(val_losses), tuple(train_losses), tuple(errors), 2.0, 2.0, 100)


def bowl_loops(batch_size=8, data=None, optimizers=("sgd",)):
    """Squared distance of one weight from 3: a step of rate lr takes away the part 2 lr of it; above 1 it diverges."""

    def build():
        model = keras.Sequential(
            [keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
        )
        model.compile("sgd", "mse")
        return model

    x, y = np.ones((64, 1), "float32"), np.full((64, 1), 3, "float32")
    data = (x, y) if data is None else data
    return Loops(build, data, optimizers=optimizers, batch_size=batch_size, validation_data=(x, y))


def around(low, high):
    return Bounds(low, high, math.sqrt(low * high), Verdict.FOUND, "bounds found")


def digits_loops():
    from sklearn.datasets import load_digits

    def build():
        model = keras.Sequential(
            [keras.layers.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    data = load_digits()
    x, y = (data.data / 16).astype("float32"), data.target
    return Loops(build, (x[:1300], y[:1300]), optimizers=["sgd", "adam"], validation_data=(x[1300:], y[1300:]))


@pytest.fixture(scope="module")
def digits():
    """The bounds of a range test, what they were sharpened to, and what was seen, for each optimizer."""
    loops = digits_loops()
    result = run_range_test(loops, Ramp())
    return {name: (bounds, *confirm(loops, name, bounds, num_steps=80)) for name, bounds in result.bounds.items()}


def test_a_rate_is_suggested_that_full_trainings_do_well_with(digits):
    """Measured with 12 epochs of this network at constant rates: these lose less than 2 % of the fall of the best."""
    for name, lowest, highest in (("sgd", 0.22, 0.7), ("adam", 0.0026, 0.035)):
        bounds, sharpened, _ = digits[name]
        assert lowest < sharpened.suggested < highest
        assert sharpened.suggested != bounds.suggested


def test_sharpened_bounds_lie_inside_and_are_no_wider_than_a_decade(digits):
    for bounds, sharpened, _ in digits.values():
        assert bounds.low <= sharpened.low < sharpened.suggested < sharpened.high <= bounds.high
        assert sharpened.decades < 1 < bounds.decades


def test_the_price_is_so_many_steps_at_each_rate(digits):
    for bounds, _, spent in digits.values():
        assert spent.num_steps == 80 * len(spent.lrs) <= 400
        assert bounds.low in spent.lrs
        assert bounds.high == pytest.approx(spent.lrs[3])


def test_what_the_range_test_read_and_found_stays(digits):
    for bounds, sharpened, _ in digits.values():
        rates = {"low": bounds.low, "high": bounds.high, "suggested": bounds.suggested}
        assert replace(sharpened, **rates, reason=bounds.reason) == bounds
        assert sharpened.reason.startswith(f"{bounds.reason}; sharpened by 4 short trainings")


def test_the_same_seed_sharpens_alike_and_traces_nothing_anew(digits):
    loops = digits_loops()
    for _ in range(2):
        again = confirm(loops, "adam", digits["adam"][0], num_steps=80)
        assert again == digits["adam"][1:]
    assert loops.num_traces == {("adam", 32): 1}


def test_a_range_test_is_the_same_after_a_confirmation(digits):
    loops = digits_loops()
    before = run_range_test(loops, Ramp(num_steps=40), optimizers=["sgd"], repeats=1)
    confirm(loops, "sgd", digits["sgd"][0], num_steps=20)

    assert run_range_test(loops, Ramp(num_steps=40), optimizers=["sgd"], repeats=1).curves == before.curves


def test_the_bottom_of_a_bowl_is_found():
    """Its best rate is 0.5, which is there in one step."""
    sharpened, spent = confirm(bowl_loops(), "sgd", around(0.02, 2.0), num_steps=6)

    assert spent.start_val_loss == spent.start_train_loss == 9
    assert 0.25 < sharpened.suggested < 0.75
    assert sharpened.low < 0.5 < sharpened.high


def test_a_rate_that_diverges_is_excluded():
    sharpened, spent = confirm(bowl_loops(), "sgd", around(0.02, 2.0), num_steps=80)

    assert [loss is None for loss in spent.val_losses] == [False] * 4 + [True]
    assert spent.num_steps < 5 * 80
    assert sharpened.high < 1.5


def test_bounds_stay_where_every_rate_diverges():
    bounds = around(1e6, 1e7)
    sharpened, spent = confirm(bowl_loops(), "sgd", bounds, num_steps=80)

    assert spent.val_losses == (None,) * 10
    assert replace(sharpened, reason=bounds.reason) == bounds
    assert "all of 10 short trainings diverged" in sharpened.reason


def test_where_every_rate_diverges_lower_ones_are_tried():
    sharpened, spent = confirm(bowl_loops(), "sgd", around(20.0, 200.0), num_steps=80)

    assert spent.num_steps <= 5 * 80
    assert sharpened.low < 1 < 20
    assert "6 below the bounds" in sharpened.reason


@pytest.mark.parametrize(("low", "high"), [(0.8, 0.99), (0.003, 0.05)])
def test_where_the_outermost_rate_does_best_it_goes_on_outwards_while_that_pays(low, high):
    """The best rate of the bowl is 0.5; the further from it, the less of the distance a step takes away."""
    sharpened, spent = confirm(bowl_loops(), "sgd", around(low, high), num_steps=2)

    assert not low < sharpened.suggested < high
    assert spent.num_steps <= 5 * 2
    assert min(abs(0.5 - lr) for lr in spent.lrs) < min(abs(0.5 - low), abs(0.5 - high))
    assert "the bounds" in sharpened.reason


def test_above_the_bounds_only_the_validation_loss_leads():
    """Where it lags behind the weights, the training loss favours rates that are too high."""
    lagging, falling = [1.99, 1.99, 2.0, 2.0, 2.0], [1.9, 1.5, 1.0, 0.5, 0.1]

    assert outwards(seen(falling)) == pytest.approx(LRS[4] ** 2 / LRS[3])
    assert (
        outwards(seen(falling[::-1])) == outwards(seen(lagging, falling[::-1])) == pytest.approx(LRS[0] ** 2 / LRS[1])
    )
    assert outwards(seen(lagging, falling)) is None
    assert outwards(seen([1.9, 0.5, 0.1, 0.5, 1.9])) is None


ONES = np.ones((64, 1), "float32")


def targets(*parts):
    return np.repeat(parts, 64 // len(parts)).astype("float32")[:, None]


@pytest.mark.parametrize("parts", [(0, 0, 0, 3), (3, 0, 0, 0)], ids=["in the last part", "in the first"])
def test_a_stream_goes_on_from_look_to_look(parts):
    """Only one part of it leads to the lowest validation loss; all are seen, and there are looks in between."""
    loops = bowl_loops(data=tf.data.Dataset.from_tensor_slices((ONES, targets(*parts))).batch(8))
    _, spent = confirm(loops, "sgd", around(0.3, 0.5), num_steps=8)

    inside = [loss for lr, loss in zip(spent.lrs, spent.val_losses, strict=True) if 0.29 < lr < 0.51]
    assert max(inside) < 0.2 * spent.start_val_loss


def batches_of(y):
    return ((ONES[:8], y[i : i + 8]) for i in range(0, len(y), 8))


def test_every_rate_is_trained_on_the_same_batches_of_a_generator():
    """What it yields later, by which the weight would grow, is left for later."""
    y, later = targets(0, 3, 1, 3), targets(1e3, 1e4)
    once = bowl_loops(data=chain(batches_of(y), batches_of(later)))
    again = bowl_loops(data=tf.data.Dataset.from_tensor_slices((ONES, y)).batch(8))

    assert confirm(once, "sgd", around(0.02, 0.4), num_steps=8) == confirm(again, "sgd", around(0.02, 0.4), num_steps=8)
    assert once.get("sgd").train([0.1]).losses > 1e5
    assert once.num_traces == {("sgd", 0): 1}


@pytest.mark.parametrize(
    ("num_steps", "message"),
    [
        (9, "data must last for 9 more steps, but it ended after 8. Pass data that can be iterated again"),
        (10**9, r"must fit into 1.1e\+09 bytes, got 1000000000 batches of 6.4e\+10 bytes from a generator"),
    ],
)
def test_a_generator_that_cannot_be_kept_is_refused(num_steps, message):
    with pytest.raises(ValueError, match=message):
        confirm(bowl_loops(data=batches_of(targets(3))), "sgd", BOUNDS, num_steps=num_steps)


def test_validation_data_without_an_end_is_refused_before_anything_is_trained():
    loops = bowl_loops()
    loops.validation = as_batches(tf.data.Dataset.from_tensor_slices((ONES, ONES)).repeat(), 8, name="validation_data")
    with pytest.raises(ValueError, match="validation_data must end for a training by epochs"):
        run_range_test(loops, Ramp(), confirm_steps=5)
    assert loops.num_traces == {}


def test_bounds_without_rates_come_back_as_they_are():
    flat = Bounds(None, None, None, Verdict.FLAT, Verdict.FLAT.value)

    assert confirm(bowl_loops(), "sgd", flat, num_steps=6) == (flat, None)


def test_validation_data_is_needed():
    loops = bowl_loops()
    loops.validation = None
    with pytest.raises(ValueError, match="Bounds are confirmed on validation data, got none"):
        confirm(loops, "sgd", BOUNDS, num_steps=6)


@pytest.mark.parametrize("num_steps", [0, -3, 2.5, True])
def test_steps_that_are_no_count_are_refused(num_steps):
    with pytest.raises(ValueError, match="The steps at each rate must be a whole number >= 1, got"):
        confirm(bowl_loops(), "sgd", BOUNDS, num_steps=num_steps)


def test_the_best_of_unequal_rates_is_suggested():
    assert sharpen(BOUNDS, seen([1.9, 1.5, 1.4, 0.2, 1.8])).suggested == pytest.approx(LRS[3], rel=1e-3)


def test_lion_is_given_a_lower_rate_than_short_trainings_do_best_with():
    record = seen([1.9, 1.5, 1.4, 0.2, 1.8])
    plain, lion = sharpen(BOUNDS, record), sharpen(BOUNDS, record, optimizer="lion")

    assert lion.suggested == pytest.approx(plain.suggested / 2.5)
    assert lion.low < lion.suggested < lion.high <= BOUNDS.high


def test_a_longer_training_is_given_a_lower_rate_than_short_ones_do_best_with():
    record = replace(seen([1.9, 1.5, 1.4, 0.2, 1.8]), steps_each=100)
    plain, equal, longer, lion = (
        sharpen(replace(BOUNDS, training_steps=steps), record, optimizer=optimizer)
        for steps, optimizer in ((None, "sgd"), (100, "sgd"), (500, "sgd"), (500, "lion"))
    )

    assert longer.suggested == pytest.approx(plain.suggested / 5**0.3)
    assert plain.suggested == equal.suggested
    assert lion.suggested == pytest.approx(plain.suggested / 2.5)


def test_nothing_is_trained_where_moving_averages_lag_even_in_the_whole_training():
    lagging = replace(around(0.02, 2.0), training_steps=400, averaging_steps=100.0)
    bounds, spent = confirm(bowl_loops(), "sgd", lagging, num_steps=8)

    assert spent is None
    assert (bounds.low, bounds.high, bounds.suggested) == (lagging.low, lagging.high, lagging.suggested)
    assert bounds.reason.endswith("short trainings would tell nothing, so they are not run")


def test_lion_is_known_by_its_class_whatever_its_label():
    loops = bowl_loops(optimizers={"mine": "lion"})
    sharpened, spent = confirm(loops, "mine", around(0.02, 2.0), num_steps=8)

    assert sharpened == sharpen(around(0.02, 2.0), spent, optimizer="lion") != sharpen(around(0.02, 2.0), spent)


def test_equally_good_neighbours_share_the_suggestion():
    sharpened = sharpen(BOUNDS, seen([1.9, 0.2, 0.2, 0.2, 1.8]))

    assert sharpened.suggested == pytest.approx(LRS[2], rel=1e-3)
    assert sharpened.high / sharpened.suggested == pytest.approx(sharpened.suggested / sharpened.low)


def test_bounds_move_inside_where_the_best_rate_is_at_their_end_and_say_so():
    sharpened = sharpen(BOUNDS, seen([0.2, 1.8, 1.9, 2.0, 2.5]))

    assert (sharpened.low, sharpened.high) == pytest.approx((1e-3, 9e-3))
    assert sharpened.reason.endswith("of which the lowest rate did best, so that the best of all may lie below")
    assert sharpen(BOUNDS, seen([2.5, 2.0, 1.9, 1.8, 0.2])).reason.endswith("the best of all may lie above")
    assert sharpen(BOUNDS, seen([2.5, 2.0, 0.2, 1.8, 2.0])).reason.endswith("sharpened by 5 short trainings")


def test_losses_that_fall_within_their_noise_leave_the_bounds():
    sharpened = sharpen(BOUNDS, seen([1.99, 1.98, 2.0, 2.1, 2.5], error=0.01))

    assert replace(sharpened, reason=BOUNDS.reason) == BOUNDS
    assert "in none of 5 short trainings did a loss fall" in sharpened.reason


def test_training_is_judged_on_where_validation_lags_behind():
    """With BatchNorm's moving averages not yet there, validation shows next to nothing of what was learnt."""
    lagging = seen([1.99, 2.0, 2.3, 9.0, 50.0], [1.8, 1.5, 1.2, 0.3, 1.4])

    assert sharpen(BOUNDS, lagging).suggested == pytest.approx(LRS[3], rel=1e-3)


def test_training_is_judged_on_where_moving_averages_lag_in_short_trainings():
    """Of 1,180 updates of a convolutional network with BatchNorm, a fifth validated best at rates that were too low."""
    record = seen([1.9, 1.2, 1.5, 1.6, 1.8], [1.9, 1.6, 1.3, 0.9, 1.7])
    network = replace(BOUNDS, averaging_steps=100.0)
    by_training, by_validation = (sharpen(network, replace(record, steps_each=steps)) for steps in (236, 500))

    assert abs(math.log(by_training.suggested / LRS[3])) < 0.1
    assert abs(math.log(by_validation.suggested / LRS[1])) < 0.1


def test_validation_is_judged_on_where_it_shows_progress():
    overfits = seen([1.8, 1.5, 0.9, 1.4, 1.6], [1.8, 1.5, 0.8, 0.3, 0.1])

    assert sharpen(BOUNDS, overfits).suggested == pytest.approx(LRS[2], rel=1e-2)


losses = st.lists(st.none() | st.floats(0.01, 10), min_size=5, max_size=5)


@given(losses, losses)
def test_whatever_is_seen_the_bounds_narrow_or_stay(val_losses, train_losses):
    val_losses = [
        None if train is None else 3.0 if val is None else val
        for val, train in zip(val_losses, train_losses, strict=True)
    ]
    sharpened = sharpen(BOUNDS, seen(val_losses, train_losses))

    assert BOUNDS.low <= sharpened.low <= sharpened.suggested <= sharpened.high <= BOUNDS.high
    assert "sharpened" not in sharpened.reason or sharpened.decades <= 1


any_loss = st.none() | st.floats(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.integers(-320, 300), st.lists(st.tuples(any_loss, any_loss), min_size=5, max_size=5), st.floats(-1e308, 1e308)
)
def test_whatever_a_float_holds_there_is_an_answer(power, pairs, start):
    lrs = tuple(10.0**power * step for step in (1, 10, 100, 1e4, 1e7))
    whole = [pair if None not in pair else (None, None) for pair in pairs]
    val_losses, train_losses = zip(*whole, strict=True)
    errors = tuple(None if loss is None else 0.0 for loss in train_losses)
    record = Confirmation(lrs, val_losses, train_losses, errors, start, start, 100, 20)
    beyond = outwards(record)

    assert beyond is None or 0 < beyond < lrs[0] or lrs[-1] < beyond < np.inf
    assert sharpen(replace(BOUNDS, low=lrs[0], high=lrs[-1], suggested=lrs[2]), record).suggested > 0


@given(losses)
def test_rates_that_diverged_lie_outside(found):
    sharpened = sharpen(BOUNDS, seen(found))

    if "sharpened" in sharpened.reason:
        assert not any(
            sharpened.low < lr < sharpened.high
            for lr, loss in zip(LRS, found, strict=True)
            if loss is None and lr > sharpened.suggested
        )


@given(st.lists(st.floats(0.01, 10), min_size=5, max_size=5), st.floats(0.1, 100))
def test_losses_that_are_scaled_sharpen_alike(found, times):
    record = seen(found)
    scaled = Confirmation(
        LRS,
        tuple(loss * times for loss in found),
        tuple(loss * times for loss in found),
        (0.01 * times,) * 5,
        2 * times,
        2 * times,
        100,
    )
    one, other = sharpen(BOUNDS, record), sharpen(BOUNDS, scaled)

    assert (one.low, one.suggested, one.high) == pytest.approx((other.low, other.suggested, other.high))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"val_losses": (1.0,)}, r"Each of at least one rate must have its losses, got \[5, 1, 5, 5\]"),
        ({"lrs": LRS[::-1]}, "`lrs` must be positive and ascending, got"),
    ],
)
def test_a_record_that_does_not_fit_together_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        replace(seen([1.0] * 5), **changed)
