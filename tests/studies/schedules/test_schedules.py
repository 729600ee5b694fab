"""Schedule families: their rates equal hand-computed tables, mean the same at any length, and can be saved."""

import doctest
import gc
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies import OptimizerRange, SearchSpace, TrialConfig
from studies.judging.pruning import has_stopped_improving
from studies.schedules import cyclical, families, marks, one_cycle
from studies.schedules import schedule as schedules
from studies.schedules.families import FAMILIES
from studies.schedules.family import WARMUP, Family, Parameter
from studies.schedules.one_cycle import one_cycle_momentum
from studies.schedules.schedule import make_schedule, rate_table
from studies.training.momentum import momentum_table

NUM_STEPS = 120  # divisible by what the tables below divide it by
STEPS = np.arange(NUM_STEPS)
T = STEPS / NUM_STEPS
DECAYING = ("linear", "step", "exponential", "time", "cosine")


def table(family, num_steps=NUM_STEPS, peak_lr=1.0, **parameters):
    return rate_table(make_schedule(family, peak_lr, num_steps, **parameters), num_steps)


def values_of(parameter):
    if parameter.integer:
        return st.integers(int(parameter.low), int(parameter.high))
    return st.floats(parameter.low, parameter.high)


@st.composite
def configurations(draw):
    """A family with parameters anywhere in their domains."""
    family = FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))]
    return family.name, {parameter.name: draw(values_of(parameter)) for parameter in family.parameters}


PEAKS = st.floats(1e-6, 10.0)
LENGTHS = st.integers(24, 3000)


@pytest.mark.parametrize("module", [families, schedules, cyclical, marks, one_cycle])
def test_doctests_hold(module):
    assert doctest.testmod(module).failed == 0


def test_every_family_of_the_article_and_of_smith_is_offered():
    smith = {"triangular", "triangular2", "exp_range", "one_cycle", "cosine_restarts"}
    assert set(FAMILIES) >= {"fixed", *DECAYING} | smith
    assert all(family.name == name and family.description for name, family in FAMILIES.items())


@pytest.fixture
def sawtooth(monkeypatch):
    """A family that no code knows: teeth that fall from the peak, while the momentum stays high."""
    teeth = Parameter("num_teeth", 2, 4, 2, integer=True)
    floor = Parameter("floor_fraction", 0.001, 0.5, 0.4, is_base=True)

    def make(peak, num_steps, values):
        length = num_steps / values["num_teeth"]
        return keras.optimizers.schedules.CosineDecayRestarts(peak, length, 1.0, alpha=values["floor_fraction"])

    family = Family(
        "sawtooth",
        "teeth",
        make=make,
        parameters=(teeth, floor, WARMUP),
        min_steps=lambda values: 5 * values["num_teeth"],
        marks=lambda values: [(1 / values["num_teeth"], 1 / values["num_teeth"])],
        momentum=lambda num_steps, values, *, high, low: np.full(num_steps, high, np.float32),
        is_cyclical=True,
    )
    (entries,) = gc.get_referents(FAMILIES)  # the dict behind the read-only view
    monkeypatch.setitem(entries, "sawtooth", family)
    return "sawtooth"


def test_a_new_schedule_is_one_entry(sawtooth):
    """It is made, searched, compared, given its momentum and refused if it does not fit, by one entry alone."""
    space = SearchSpace((OptimizerRange("adam", 0.01, 0.1, cyclical_high=0.2),), (sawtooth,), searches_warmup=True)
    config = TrialConfig("adam", sawtooth, 0.1, 32, (("num_teeth", 4),))
    by_name = {dimension.name: dimension for dimension in space.dimensions()}

    assert table(sawtooth, 100, num_teeth=4, warmup=0.2).argmax() == 20
    assert by_name["lr__adam"].high == 0.2
    assert by_name["sawtooth__floor_fraction"].low == pytest.approx(0.01 / 0.2)
    assert "sawtooth__warmup" in by_name
    assert TrialConfig.from_parameters(config.parameters()) == config
    assert [mark.epoch for mark in marks.marks(sawtooth, {"num_teeth": 4, "warmup": 0.2}, 20)] == [8]
    assert not has_stopped_improving(config, [1.0] * 8, epochs=20, patience=0.1)
    assert momentum_table(config, keras.optimizers.Adam(), 3).tolist() == pytest.approx([0.95] * 3)
    with pytest.raises(ValueError, match=r"'sawtooth' with num_teeth=4, .* needs at least 26 steps, got num_steps=20"):
        space.check_num_steps(20)


def test_warm_up_is_offered_by_fixed_and_decaying_families_only():
    offering = {name for name, family in FAMILIES.items() if WARMUP in family.parameters}
    assert offering == {name for name, family in FAMILIES.items() if not family.is_cyclical} >= {"fixed", *DECAYING}


@pytest.mark.parametrize(
    ("family", "parameters", "formula"),
    [
        ("fixed", {}, np.ones(NUM_STEPS)),
        ("linear", {"final_fraction": 0.1}, 1 - 0.9 * T),
        ("linear", {"final_fraction": 0.1, "decay_fraction": 0.5}, 1 - 0.9 * np.minimum(1, 2 * T)),
        ("step", {"num_drops": 2, "drop_factor": 0.5}, 0.5 ** np.floor(3 * STEPS / NUM_STEPS)),
        ("exponential", {"final_fraction": 0.01}, 0.01**T),
        ("time", {"final_fraction": 0.25}, 1 / (1 + 3 * T)),
        ("cosine", {"final_fraction": 0.1}, 0.1 + 0.9 * (1 + np.cos(np.pi * T)) / 2),
        (
            "cosine_restarts",
            {"num_cycles": 4, "final_fraction": 0.1},
            0.1 + 0.9 * (1 + np.cos(np.pi * (STEPS % 30) / 30)) / 2,
        ),
    ],
)
def test_decays_equal_their_closed_formulas(family, parameters, formula):
    np.testing.assert_allclose(table(family, peak_lr=0.3, **parameters), 0.3 * formula, rtol=2e-6)


def test_steps_fall_at_the_right_step_when_the_length_does_not_divide():
    rates = table("step", num_steps=10, num_drops=2, drop_factor=0.5)
    assert rates.tolist() == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_triangular_equals_smiths_table():
    """Two cycles in 8 steps: Smith's stepsize is 2."""
    rates = table("triangular", num_steps=8, num_cycles=2, base_fraction=0.5)
    assert rates.tolist() == [0.5, 0.75, 1.0, 0.75, 0.5, 0.75, 1.0, 0.75]


def test_triangular2_halves_the_amplitude_after_each_cycle():
    rates = table("triangular2", num_steps=12, num_cycles=3, base_fraction=0.5)
    assert rates.tolist() == [0.5, 0.75, 1, 0.75, 0.5, 0.625, 0.75, 0.625, 0.5, 0.5625, 0.625, 0.5625]


def test_exp_range_equals_smiths_formula():
    stepsize, gamma = NUM_STEPS / 6, 0.1 ** (1 / NUM_STEPS)
    cycle = np.floor(1 + STEPS / (2 * stepsize))
    x = np.abs(STEPS / stepsize - 2 * cycle + 1)
    smith = 0.25 + 0.75 * np.maximum(0, 1 - x) * gamma**STEPS
    rates = table("exp_range", num_cycles=3, base_fraction=0.25, final_amplitude=0.1)
    np.testing.assert_allclose(rates, smith, rtol=2e-6)


def test_one_cycle_passes_through_its_end_points():
    schedule = make_schedule("one_cycle", 1.0, 100, rise_fraction=0.4, base_fraction=0.1)
    at = [float(schedule(step)) for step in (0, 20, 40, 65, 90, 100, 150)]
    assert at == pytest.approx([0.1, 0.55, 1.0, 0.55, 0.1, 1e-4, 1e-4], rel=1e-4)


def test_momentum_of_one_cycle_is_low_where_the_rate_is_high():
    rates, momentum = table("one_cycle", num_steps=100), one_cycle_momentum(100)
    assert momentum.dtype == np.float32
    assert momentum.argmin() == rates.argmax() == 45
    assert (momentum[0], momentum.min(), momentum[90], momentum[99]) == pytest.approx((0.95, 0.85, 0.95, 0.95))


def test_warm_up_climbs_to_the_peak_and_then_decays_over_the_rest():
    rates = table("linear", num_steps=100, warmup=0.2, final_fraction=0.5)
    np.testing.assert_allclose(rates[:20], np.linspace(0.01, 1.0, 20, endpoint=False), rtol=1e-5)
    np.testing.assert_allclose(rates[20:], table("linear", num_steps=80, final_fraction=0.5), rtol=1e-6)


def test_a_short_warm_up_takes_one_step():
    assert table("fixed", num_steps=4, warmup=0.01).tolist() == pytest.approx([0.01, 1, 1, 1])


@settings(max_examples=60)
@given(configurations(), PEAKS, LENGTHS)
def test_rates_are_positive_and_never_above_the_peak(configuration, peak_lr, num_steps):
    family, parameters = configuration
    rates = table(family, num_steps, peak_lr, **parameters)
    assert rates.shape == (num_steps,)
    assert rates.dtype == np.float32
    assert (rates > 0).all()
    assert rates.max() <= peak_lr * (1 + 1e-6)


@settings(max_examples=25)
@given(configurations(), st.integers(24, 60))
def test_table_equals_the_schedule_called_step_by_step(configuration, num_steps):
    family, parameters = configuration
    schedule = make_schedule(family, 0.1, num_steps, **parameters)
    alone = [float(schedule(keras.ops.convert_to_tensor(step))) for step in range(num_steps)]
    for is_of_family in (False, True):
        np.testing.assert_allclose(rate_table(schedule, num_steps, is_of_family=is_of_family), alone, rtol=1e-6)


@settings(max_examples=40)
@given(configurations(), st.integers(24, 400))
def test_saved_and_loaded_schedules_give_the_same_table(configuration, num_steps):
    family, parameters = configuration
    schedule = make_schedule(family, 0.1, num_steps, **parameters)
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    np.testing.assert_array_equal(rate_table(loaded, num_steps), rate_table(schedule, num_steps))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_optimizers_config_holds_the_schedule(family):
    parameters = {"warmup": 0.1} if WARMUP in FAMILIES[family].parameters else {}
    optimizer = keras.optimizers.SGD(make_schedule(family, 0.1, 50, **parameters))
    loaded = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    np.testing.assert_array_equal(rate_table(loaded._learning_rate, 50), rate_table(optimizer._learning_rate, 50))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_optimizer_applies_the_rates_of_the_table(family):
    """Gradient 1 and plain descent: what the variable moves by is the rate."""
    parameters = {"warmup": 0.2} if WARMUP in FAMILIES[family].parameters else {}
    schedule = make_schedule(family, 0.1, 24, **parameters)
    optimizer, variable, applied = keras.optimizers.SGD(schedule), keras.Variable(0.0), []
    for _ in range(24):
        before = float(variable)
        optimizer.apply([keras.ops.ones(())], [variable])
        applied.append(before - float(variable))
    np.testing.assert_allclose(applied, rate_table(schedule, 24), rtol=1e-3, atol=1e-6)


@settings(max_examples=30)
@given(configurations(), st.integers(24, 300))
def test_rates_mean_the_same_at_twice_the_length(configuration, num_steps):
    family, parameters = configuration
    parameters.pop("warmup", None)  # rounded to whole steps
    short, long = table(family, num_steps, **parameters), table(family, 2 * num_steps, **parameters)
    np.testing.assert_allclose(short, long[::2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_thousand_steps_need_one_call(family):
    schedule, calls = make_schedule(family, 0.1, 1000), []

    class Counting(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            calls.append(step)
            return schedule(step)

    rate_table(Counting(), 1000)
    assert len(calls) < 5


def test_a_schedule_that_takes_single_steps_only_is_called_step_by_step():
    warm = keras.optimizers.schedules.CosineDecay(0.0, 8, warmup_target=1.0, warmup_steps=2)
    np.testing.assert_allclose(rate_table(warm, 10), [float(warm(step)) for step in range(10)], rtol=1e-6)


def test_a_schedule_that_answers_a_vector_wrongly_is_called_step_by_step():
    class LooksAtTheLast(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1 * keras.ops.ones_like(step, "float32") / (1.0 + keras.ops.cast(keras.ops.max(step), "float32"))

    np.testing.assert_allclose(rate_table(LooksAtTheLast(), 5), 0.1 / np.arange(1, 6), rtol=1e-6)


def test_an_error_in_a_users_schedule_is_raised_as_it_is():
    class Broken(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        rate_table(Broken(), 5)


def test_rates_that_no_optimizer_can_use_are_refused():
    falling_below_zero = keras.optimizers.schedules.PolynomialDecay(1.0, 10, end_learning_rate=-1.0)
    with pytest.raises(ValueError, match=r"finite rates >= 0, got -.* at step 6 from PolynomialDecay"):
        rate_table(falling_below_zero, 10)


@pytest.mark.parametrize(
    ("name", "meant"), [("exponental", "exponential"), ("One-Cycle", "one_cycle"), ("triangle", "triangular")]
)
def test_an_unknown_family_is_answered_with_the_nearest(name, meant):
    with pytest.raises(ValueError, match=rf"one of fixed, linear.*Did you mean '{meant}'"):
        make_schedule(name, 0.1, 100)


@pytest.mark.parametrize(
    ("family", "parameters", "message"),
    [
        ("linear", {"final_fracton": 0.1}, "got 'final_fracton'. Did you mean 'final_fraction'"),
        ("triangular", {"warmup": 0.1}, "must be of num_cycles, base_fraction, got 'warmup'"),
        ("linear", {"final_fraction": 2}, "a number from 0.001 to 0.5, got 2. Leave it out for 0.01"),
        ("linear", {"final_fraction": math.nan}, "got nan"),
        ("linear", {"final_fraction": "0.1"}, "got '0.1'"),
        ("step", {"num_drops": 1.5}, "a whole number from 1 to 5, got 1.5"),
        ("step", {"num_drops": True}, "got True"),
    ],
)
def test_wrong_parameters_are_refused(family, parameters, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(family, 0.1, 100, **parameters)


def test_whole_numbers_may_be_floats():
    assert table("triangular", num_cycles=2.0).tolist() == table("triangular", num_cycles=2).tolist()


@pytest.mark.parametrize(
    ("family", "num_steps", "parameters", "needed"),
    [
        ("triangular", 7, {"num_cycles": 4}, 8),
        ("cosine_restarts", 3, {"num_cycles": 2}, 4),
        ("step", 3, {"num_drops": 3}, 4),
        ("one_cycle", 2, {}, 3),
        ("fixed", 1, {"warmup": 0.1}, 2),
    ],
)
def test_too_few_steps_are_refused_and_just_enough_are_not(family, num_steps, parameters, needed):
    with pytest.raises(ValueError, match=rf"needs at least {needed} steps, got num_steps={num_steps}"):
        make_schedule(family, 0.1, num_steps, **parameters)
    assert (table(family, needed, **parameters) > 0).all()


@pytest.mark.parametrize("peak_lr", [0, -1, math.nan, math.inf, "0.1", True])
def test_a_peak_that_is_not_positive_is_refused(peak_lr):
    with pytest.raises(ValueError, match="`peak_lr` must be positive and finite"):
        make_schedule("fixed", peak_lr, 10)


def test_a_whole_number_may_be_the_peak():
    assert table("cosine", peak_lr=1).max() == 1


@pytest.mark.parametrize("num_steps", [0, -1, 2.5, True])
def test_a_length_that_is_no_count_is_refused(num_steps):
    with pytest.raises(ValueError, match="`num_steps` must be a whole number >= 1"):
        make_schedule("fixed", 0.1, num_steps)


def test_momentum_out_of_order_is_refused():
    with pytest.raises(ValueError, match="`0 <= low <= high < 1` must hold"):
        one_cycle_momentum(10, high=0.8, low=0.9)


@pytest.mark.parametrize(
    ("numbers", "message"), [((0, 1, 2), "`low <= default <= high`"), ((0, 1, 0.5, True), "must be positive")]
)
def test_a_parameter_with_an_impossible_domain_is_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        Parameter("x", *numbers)


@pytest.mark.long
def test_a_saved_model_with_a_cyclical_schedule_loads_after_studies_is_imported(tmp_path):
    """In a fresh process, in which `import studies` alone imports no Keras."""
    config = TrialConfig("sgd", "triangular", 0.1, 8, (("base_fraction", 0.2), ("num_cycles", 2)))
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(config.optimizer(num_steps=20), "mse")
    model.save(tmp_path / "model.keras")
    program = """
import sys
import studies
assert "keras" not in sys.modules
import keras
print(float(keras.saving.load_model(sys.argv[1]).optimizer.learning_rate))
"""
    words = [sys.executable, "-c", program, str(tmp_path / "model.keras")]
    shown = subprocess.run(words, capture_output=True, text=True, check=False)

    assert shown.stdout, shown.stderr[-2000:]
