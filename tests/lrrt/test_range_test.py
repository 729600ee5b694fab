"""What is true of a whole range test on real Keras models."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

import lrrt
from lrrt.factors import averaging_steps_of, kind_of
from lrrt.recording import repeated
from lrrt.smoothing import smooth
from lrrt.variables import read
from tests.lrrt.notes import Notes

SPARSE = "sparse_categorical_crossentropy"
SHORT = lrrt.Ramp(num_steps=60)


def digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.data / 16).astype("float32"), data.target


def build_model():
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(32, "relu"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def result():
    return lrrt.range_test(build_model, digits(), optimizers=["sgd", "adam"])


def test_bounds_hold_the_rates_that_full_trainings_do_best_with(result):
    """Measured with full trainings of this network, 12 epochs: sgd does best near 0.5, adam near 0.03."""
    sgd, adam = result.bounds["sgd"], result.bounds["adam"]

    assert sgd.low < 0.5 < sgd.high
    assert adam.low < 0.03 < adam.high
    assert adam.suggested < sgd.suggested / 3


@pytest.fixture(scope="module")
def doubtful():
    """Labels that are mostly chance, in small batches, whose noise hides what is learnt; a batch comes only once."""
    x, y = digits()
    rng = np.random.default_rng(0)
    y = np.where(rng.random(len(y)) < 0.9, rng.integers(0, 10, len(y)), y)
    batches = (rng.integers(0, len(x), 4) for _ in range(1_000))
    return lrrt.range_test(build_model, ((x[rows], y[rows]) for rows in batches), optimizers=["sgd"])


def in_minutes():
    """Digits as minutes of delay, of which most is chance, in batches of 16: their losses say little of the weights."""
    x, y = digits()
    return x, (10 * y + 40 * np.random.default_rng(0).standard_normal(len(y))).astype("float32")[:, None]


def delay_model():
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_untrained_losses_of_the_same_batches_show_what_noise_hides():
    """They are measured once, for all optimizers."""
    result = lrrt.range_test(delay_model, in_minutes(), optimizers=["adam", "adagrad"], batch_size=16)
    (first,), (second,) = result.curves.values()

    np.testing.assert_allclose(first.untrained[:8], first.losses[:8], rtol=1e-3)
    assert second.untrained == first.untrained[: len(second.losses)]
    assert (first.num_steps, second.num_steps) == (75 + 100, 75)
    for label, curves in result.curves.items():
        without = lrrt.find_bounds([replace(curve, untrained=()) for curve in curves], optimizer=label)
        assert without.verdict is lrrt.Verdict.TOO_NOISY
        assert 1e-3 < result.bounds[label].low < result.bounds[label].high < 3  # Adagrad does best with 1


def test_batches_that_are_others_each_time_take_nothing_out():
    """A dataset that shuffles itself gives others when it is read again: the difference would be noisier."""
    import tensorflow as tf

    x, y = in_minutes()
    shuffled = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=0).batch(16)
    result = lrrt.range_test(delay_model, shuffled, optimizers=["adam"], repeats=1)
    (curve,) = result.curves["adam"]

    assert curve.untrained == ()
    assert curve.num_steps == 75 + 100 + 100  # begun later, untrained, begun at the first rate


def test_one_curve_is_enough_where_it_is_clear(result):
    assert [bounds.verdict for bounds in result.bounds.values()] == [lrrt.Verdict.FOUND] * 2
    assert [len(repeats) for repeats in result.curves.values()] == [1, 1]
    assert result.num_steps <= 150
    assert [curve.lrs[0] for (curve,) in result.curves.values()] == pytest.approx([1e-5, 1e-5], rel=0.1)


def test_a_doubtful_curve_is_repeated_from_other_weights_on_another_order(doubtful):
    (repeats,) = doubtful.curves.values()

    assert doubtful.bounds["sgd"].verdict is not lrrt.Verdict.FOUND
    assert len({curve.losses[0] for curve in repeats}) == len(repeats) == 3
    assert len({curve.lrs[0] for curve in repeats}) == 1
    assert doubtful.num_steps == sum(curve.num_steps for curve in repeats)


@pytest.mark.parametrize(("fall_at", "begins"), [(1e-2, 1e-5), (1e-4, 1e-7)])
def test_a_long_ramp_begins_later_unless_good_rates_may_lie_below(fall_at, begins):
    """What was tried before is counted; both show the same bounds as a ramp that begins at its first rate."""

    def record(rates, _):
        losses = 2 - 1 / (1 + (fall_at / rates) ** 2) + (rates / (30 * fall_at)) ** 2
        return lrrt.RangeCurve(tuple(rates), tuple(losses), num_steps=len(rates))

    rates = lrrt.Ramp().rates()
    (curve,) = repeated(record, rates, 3)
    found, whole = lrrt.find_bounds([curve]), lrrt.find_bounds([record(rates, 0)])

    assert curve.lrs[0] == pytest.approx(begins, rel=0.1)
    assert curve.num_steps == (75 if begins == 1e-5 else 75 + 100)
    assert found.suggested == pytest.approx(whole.suggested, rel=0.1)


def test_batches_that_come_only_once_are_not_spent_on_a_later_start(doubtful):
    assert [curve.lrs[0] for curve in doubtful.curves["sgd"]] == [1e-7] * 3
    assert all(curve.num_steps <= 100 for curve in doubtful.curves["sgd"])


def test_a_loss_that_never_rose_again_is_not_looked_at_twice():
    """Where a ramp ends too low, another one would end as low."""
    rates = lrrt.Ramp().rates()
    (only,) = repeated(lambda lrs, _: lrrt.RangeCurve(tuple(lrs), tuple(2 - 1 / (1 + (1e-2 / lrs) ** 2))), rates, 3)

    assert lrrt.find_bounds([only]).verdict is lrrt.Verdict.NEVER_DIVERGES


def test_each_repeat_begins_with_weights_of_its_own():
    """All of the data is one batch, so that its order changes nothing, and rates that move nothing leave a doubt."""

    def build():
        model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10, "softmax")])
        model.compile("sgd", SPARSE)
        return model

    x, y = digits()
    ramp = lrrt.Ramp(1e-12, 1e-10, num_steps=12)
    found = lrrt.range_test(build, (x[:64], y[:64]), optimizers=["sgd"], ramp=ramp, batch_size=64, repeats=3)

    assert len({round(curve.losses[0], 3) for curve in found.curves["sgd"]}) == 3


def test_a_builder_that_seeds_itself_is_told_that_repeats_begin_alike():
    def build():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    watcher, x = Notes(), np.ones((8, 2), "float32")
    lrrt.range_test(build, (x, x[:, 0]), ramp=lrrt.Ramp(1e-12, 1e-10, 12), batch_size=8, repeats=2, watcher=watcher)

    (note,) = watcher.notes
    assert note.startswith("the model's weights are the same for every seed, as when its builder calls set_ran")


def test_repeats_end_with_the_one_that_leaves_no_doubt():
    """Curves whose fall is 4 to 6 times their noise are clear when two of them agree."""
    rates = lrrt.Ramp().rates()

    def record(rates, repeat):
        clean = 2 - 0.3 / (1 + (1e-2 / rates) ** 2) + (rates / 0.3) ** 2
        noise = 0.13 * np.random.default_rng(repeat).standard_normal(len(rates))
        return lrrt.RangeCurve(tuple(rates), tuple(clean + noise))

    curves = list(repeated(record, rates, 9))

    assert 1 < len(curves) < 9
    verdicts = [lrrt.find_bounds(curves[: count + 1]).verdict for count in range(len(curves))]
    assert [verdict is lrrt.Verdict.FOUND for verdict in verdicts] == [False] * (len(curves) - 1) + [True]


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        (keras.optimizers.SGD(), "sgd"),
        (keras.optimizers.SGD(momentum=0.9), "momentum"),
        (keras.optimizers.SGD(momentum=0.99), "heavy momentum"),
        (keras.optimizers.RMSprop(momentum=0.9), "rmsprop"),
        (keras.optimizers.Lion(), "lion"),
    ],
)
def test_sgd_with_momentum_is_a_kind_of_its_own(optimizer, kind):
    assert kind_of(optimizer) == kind


def test_moving_averages_are_those_that_the_network_trains():
    def network(*momenta, trainable=True):
        norms = [keras.layers.BatchNormalization(momentum=momentum, trainable=trainable) for momentum in momenta]
        return keras.Sequential([keras.layers.Input((4,)), *norms, keras.layers.LayerNormalization()])

    assert averaging_steps_of(keras.Sequential([network(0.9), network(0.5)])) == pytest.approx(10)
    assert averaging_steps_of(network(0.99, trainable=False)) is None
    assert averaging_steps_of(build_model()) is None


def test_a_network_whose_moving_averages_lag_is_told_so():
    def build():
        model = keras.Sequential(
            [keras.layers.Input((64,)), keras.layers.BatchNormalization(), keras.layers.Dense(10, "softmax")]
        )
        model.compile("sgd", SPARSE)
        return model

    found = lrrt.range_test(build, digits(), optimizers=["sgd"], repeats=1, training_steps=200)

    assert "moving averages lag" in found.bounds["sgd"].reason
    assert lrrt.RangeTestResult.from_json(found.to_json()) == found


def test_bounds_are_for_the_training_to_come():
    loops = lrrt.Loops(build_model, digits(), optimizers={"mine": keras.optimizers.SGD(momentum=0.9)})
    short, long = (
        lrrt.run_range_test(loops, lrrt.Ramp(), repeats=1, training_steps=steps) for steps in (1_000, 100_000)
    )

    assert short.curves == long.curves
    assert long.bounds["mine"].suggested == pytest.approx(short.bounds["mine"].suggested * 100**-0.3)
    assert long.cases["mine"].kind == "momentum"
    assert lrrt.RangeTestResult.from_json(long.to_json()) == long
    assert short.for_training(100_000) == short.for_training({"mine": 100_000}) == long


def test_bounds_that_were_given_without_curves_are_for_any_training(result):
    given = replace(result, curves=dict.fromkeys(result.curves, ()))

    assert given.for_training(5) == given


def test_each_batch_size_has_the_updates_of_its_own_epochs():
    """An optimizer that adds up the gradients of two batches makes half as many updates."""
    added = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    loops = lrrt.Loops(build_model, digits(), optimizers={"plain": "sgd", "added": added})
    ramp = lrrt.Ramp(num_steps=12)
    found = lrrt.run_range_test(loops, ramp, repeats=1, training_epochs=3, batch_sizes=[32, 64])

    batches = {size: loops.num_batches(size) for size in (32, 64)}
    steps = {
        (found.cases[label].optimizer, found.cases[label].batch_size): one.training_steps
        for label, one in found.bounds.items()
    }
    assert steps == {
        (name, size): 3 * batches[size] // per_update
        for name, per_update in (("plain", 1), ("added", 2))
        for size in (32, 64)
    }
    with pytest.raises(ValueError, match="must be given in steps or in epochs, got both"):
        lrrt.run_range_test(loops, ramp, training_steps=9, training_epochs=3)


def test_the_optimizers_are_compared_on_the_same_weights_and_order(result):
    """At 1e-7 no optimizer has moved: the first losses are equal."""
    sgd, adam = ([curve.losses[0] for curve in result.curves[name]] for name in ("sgd", "adam"))

    assert sgd == adam


def test_the_picture_shows_the_median_of_the_repeats_that_tried_a_rate(doubtful):
    (axes,) = doubtful.plot().axes
    drawn = {line.get_label().split(":")[0]: dict(line.get_xydata().tolist()) for line in axes.lines}
    for name, repeats in doubtful.curves.items():
        smoothed = [dict(zip(curve.lrs, smooth(curve.lrs, curve.losses), strict=True)) for curve in repeats]
        assert min(drawn[name]) == 1e-7
        for lr, loss in drawn[name].items():
            assert loss == pytest.approx(np.median([curve[lr] for curve in smoothed if lr in curve]))


def test_two_range_tests_in_a_row_are_identical():
    tests = [lrrt.range_test(build_model, digits(), optimizers=["adam"], ramp=SHORT, repeats=2) for _ in range(2)]

    assert tests[0].curves == tests[1].curves


def test_a_compiled_model_is_left_exactly_as_found():
    model = build_model()
    model.fit(*digits(), epochs=1, verbose=0)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before, optimizer = read(variables), model.optimizer
    lrrt.range_test(model, digits(), optimizers=["sgd", "adam"], ramp=SHORT, repeats=1)

    assert model.optimizer is optimizer
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_compiled_model_is_left_exactly_as_found_after_an_exception():
    class Brittle(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(10, "softmax")

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            super().train_step(data)
            raise ZeroDivisionError("the user's own mistake")

    model = Brittle()
    model.compile("adam", SPARSE)
    model(digits()[0][:1])
    before, optimizer = read(model.variables), model.optimizer
    with pytest.raises(ZeroDivisionError, match="the user's own mistake"):
        lrrt.range_test(model, digits(), ramp=SHORT)

    assert model.optimizer is optimizer
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def unbuilt():
    model = keras.Sequential([keras.layers.Dense(16, "relu"), keras.layers.Dropout(0.1), keras.layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize("build_model", [build_model, unbuilt])
def test_fit_after_a_range_test_equals_fit_without_one(build_model):
    x, y = (part[:96] for part in digits())

    def fitted(test_first):
        keras.utils.set_random_seed(4)
        model = build_model()
        if test_first:
            lrrt.range_test(model, (x, y), optimizers=["adam"], ramp=SHORT, repeats=1)
        return model.fit(x, y, epochs=2, verbose=0, shuffle=False).history["loss"]

    assert fitted(True) == fitted(False)


def test_a_bowl_diverges_at_its_known_limit():
    """Gradient descent on a parabola of curvature c diverges above 2/c: here y = w, loss = 4 w^2, so above 1/4."""

    class Bowl(keras.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return 0.0 * x + self.w

    model = Bowl()
    model.compile("sgd", lambda y_true, y_pred: 4 * y_pred**2)
    x = np.ones((64, 1), "float32")
    ramp = lrrt.Ramp(1e-5, 10.0, 240)
    found = lrrt.range_test(model, (x, x), optimizers=["sgd"], ramp=ramp, repeats=1)
    curve = found.curves["sgd"][0]
    last_stable = ramp.rates()[ramp.rates() <= 0.25][-1]

    assert curve.stop is lrrt.Stop.DIVERGED
    assert curve.num_steps < 240
    assert curve.lrs[int(np.argmin(curve.losses)) - 1] == last_stable
    assert found.bounds["sgd"].low < 0.25 < found.bounds["sgd"].diverged


def test_a_result_survives_json(result):
    again = lrrt.RangeTestResult.from_dict(json.loads(result.to_json()))

    assert again == result
    assert json.loads(result.to_json())["bounds"]["adam"]["low"] == result.bounds["adam"].low


def test_pictures_show_all_optimizers_on_one_axis_with_bounds(result, tmp_path):
    for figure in (result.plot(), result.plot_deltas()):
        (axes,) = figure.axes
        captions = [text.get_text() for text in axes.get_legend().get_texts()]
        figure.savefig(tmp_path / "picture.png")

        assert axes.get_xscale() == "log"
        assert [caption.split(":")[0] for caption in captions] == ["sgd", "adam"]
        assert len(axes.patches) == 2
        assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repeats": 0}, "`repeats` must be a whole number >= 1, got 0"),
        ({"training_steps": 0}, "`training_steps` must be a whole number >= 1, got 0"),
        ({"batch_size": 0}, "`batch_size` must be a whole number >= 1, got 0"),
        ({"optimizers": ["adamm"]}, "Did you mean 'adam'"),
        ({"seed": -1}, "`seed` must be a whole number >= 0, got -1"),
        ({"seed": 1.5}, "`seed` must be a whole number >= 0, got 1.5"),
        ({"batch_sizes": [16, 16]}, r"`batch_sizes` must differ from each other, got \[16, 16\]"),
    ],
)
def test_arguments_out_of_their_domain_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        lrrt.range_test(build_model, digits(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ramp": "fast"}, "`ramp` must be an lrrt.Ramp, got str: 'fast'"),
        ({"optimizers": None}, "`optimizers` must be names, Keras optimizers or .*, got None"),
        ({"batch_sizes": 16}, r"`batch_sizes` must be several sizes, as \[32, 128\], got 16"),
        ({"hyperparameters": {"units": 4}}, "`hyperparameters` must be several models' values, .*, got {'units': 4}"),
        ({"monitor": None}, "`monitor` must be the name of a loss or a compiled metric, got None"),
        ({"class_weight": [1, 2]}, r"`class_weight` must be {class: weight}, with class numbers, got \[1, 2\]"),
        ({"data": (digits()[0][:40], ["seven"] * 40)}, "Labels and weights of data must be numbers, got text: .*seven"),
        ({"validation_data": 3}, "validation_data must be arrays .*, got int"),
    ],
)
def test_arguments_of_another_kind_are_named(arguments, message):
    with pytest.raises(TypeError, match=message):
        lrrt.range_test(build_model, **{"data": digits()} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start_lr": 1.0, "end_lr": 0.1}, r"`0 < start_lr < end_lr` must hold, got start_lr=1.0, end_lr=0.1"),
        ({"start_lr": 0.0}, "`0 < start_lr < end_lr` must hold"),
        ({"end_lr": float("nan")}, "`0 < start_lr < end_lr` must hold"),
        ({"num_steps": 0}, "`num_steps` must be a whole number >= 2, got 0"),
        ({"num_steps": 10.0}, "`num_steps` must be a whole number >= 2, got 10.0"),
        ({"spacing": "log"}, '`spacing` must be "exponential" or "linear"'),
    ],
)
def test_a_ramp_that_cannot_climb_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        lrrt.Ramp(**arguments)


@pytest.mark.parametrize("spacing", ["exponential", "linear"])
def test_a_ramp_hits_both_ends_exactly(spacing):
    rates = lrrt.Ramp(3e-7, 7.3, 41, spacing).rates()

    assert (rates[0], rates[-1], len(rates)) == (3e-7, 7.3, 41)
    steps = np.diff(np.log(rates) if spacing == "exponential" else rates)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
