"""What is true of the search space, the values it gives, and the trials made of them."""

import json
from dataclasses import replace

import keras
import numpy as np
import optuna
import pytest
from keras_tuner import HyperParameters

from lrrt import Bounds, Case, Ramp, RangeCurve, RangeTestResult, Verdict, find_bounds
from studies import FAMILIES, Dimension, ForeignStudy, OptimizerRange, SearchSpace, TrialConfig, TrialResult, TrialState
from studies.space.differences import check_same_space

SGD = OptimizerRange("sgd", 1e-2, 1.0, 0.2)
ADAM = OptimizerRange("adam", 1e-4, 1e-2, 2e-3)
SPACE = SearchSpace((SGD, ADAM), tuple(FAMILIES), (16, 32))
FOUND = Bounds(1e-4, 1e-2, 2e-3, Verdict.FOUND, "")
ABSENT = Bounds(None, None, None, Verdict.FLAT, "")
AT_16, AT_32 = replace(SGD, batch_size=16), OptimizerRange("sgd", 2e-2, 2.0, 0.4, batch_size=32)
BY_SIZE = SearchSpace((AT_16, AT_32, ADAM), ("fixed", "triangular"), (16, 32))
CASES = {
    "sgd, batch_size=16": Case("sgd", "sgd", 16),
    "sgd, batch_size=32": Case("sgd", "sgd", 32),
    "adam": Case("adam", "adam", 16),
}


def rate_of(space):
    (found,) = [found for found in space.dimensions() if found.name.startswith("lr__")]
    return found


def test_every_proposal_lies_inside_its_optimizer_s_bounds():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = [SPACE.suggest(study.ask()) for _ in range(200)]

    assert {config.schedule for config in configs} == set(FAMILIES)
    assert {config.batch_size for config in configs} == {16, 32}
    for config in configs:
        bounds = {"sgd": SGD, "adam": ADAM}[config.optimizer_name]
        assert bounds.low <= config.lr <= bounds.high


@pytest.mark.parametrize("space", [SPACE, BY_SIZE], ids=["shared bounds", "bounds by batch size"])
def test_both_engines_give_the_same_config_for_the_same_values(space):
    """The parameters that are active, their names and what is made of them do not depend on the engine."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(60):
        trial = study.ask()
        config = space.suggest(trial)
        hp = HyperParameters()
        hp.values = dict(trial.params)

        assert space.suggest(hp) == config
        assert trial.params == config.parameters()
        assert TrialConfig.from_parameters(config.parameters()) == config
        assert space.holds(config)


def test_only_the_chosen_optimizer_and_family_are_asked_for():
    trial = optuna.create_study().ask({"optimizer": optuna.distributions.CategoricalDistribution(["sgd", "adam"])})
    config = SPACE.suggest(trial)
    prefixes = {f"lr__{config.optimizer_name}", "optimizer", "schedule", "batch_size"}

    assert {name for name in trial.params if not name.startswith(f"{config.schedule}__")} == prefixes


def test_an_optimizer_without_bounds_falls_back_and_says_so():
    space = SearchSpace.from_bounds({"sgd": FOUND, "adam": ABSENT}, fallback_range=(1e-5, 1e-1))

    assert [(found.name, found.low, found.high, found.is_fallback) for found in space.optimizers] == [
        ("sgd", 1e-4, 1e-2, False),
        ("adam", 1e-5, 1e-1, True),
    ]


def test_an_optimizer_without_bounds_or_fallback_is_left_out():
    assert [found.name for found in SearchSpace.from_bounds({"sgd": FOUND, "adam": ABSENT}).optimizers] == ["sgd"]


def test_bounds_of_several_batch_sizes_are_searched_at_the_size_that_they_are_of():
    bounds = {"sgd, batch_size=16": FOUND, "sgd, batch_size=32": replace(FOUND, high=0.1), "adam": FOUND}
    space = SearchSpace.from_bounds(bounds, cases=CASES, batch_sizes=(16, 32))
    rates = {found.name: found for found in space.dimensions() if found.name.startswith("lr__")}

    assert {name: found.high for name, found in rates.items()} == {
        "lr__sgd__16": 1e-2,
        "lr__sgd__32": 0.1,
        "lr__adam": 1e-2,
    }
    assert rates["lr__sgd__32"].conditions == (("optimizer", ("sgd",)), ("batch_size", (32,)))
    assert space.dimensions()[0].choices == ("sgd", "adam")
    assert space.suggested_parameters() == [
        {"optimizer": "sgd", "batch_size": 16, "lr__sgd__16": 2e-3},
        {"optimizer": "sgd", "batch_size": 32, "lr__sgd__32": 2e-3},
        {"optimizer": "adam", "lr__adam": 2e-3},
    ]


def test_where_one_batch_size_is_searched_its_bounds_have_the_optimizer_s_name():
    bounds = {"sgd, batch_size=16": FOUND, "sgd, batch_size=32": replace(FOUND, high=0.1)}
    (found,) = SearchSpace.from_bounds(bounds, cases=CASES, batch_sizes=(32,)).optimizers

    assert (found.rate_name, found.label, found.high) == ("lr__sgd", "sgd", 0.1)


def test_an_optimizer_without_bounds_at_one_batch_size_falls_back_there_or_is_left_out():
    bounds = {"sgd, batch_size=16": FOUND, "sgd, batch_size=32": ABSENT, "adam": FOUND}
    space = SearchSpace.from_bounds(bounds, cases=CASES, batch_sizes=(16, 32), fallback_range=(1e-5, 1e-1))
    without = SearchSpace.from_bounds(bounds, cases=CASES, batch_sizes=(16, 32))

    assert [found.label for found in space.optimizers if found.is_fallback] == ["sgd, batch_size=32"]
    assert [found.label for found in without.optimizers] == ["adam"]


def test_bounds_without_a_batch_size_that_is_searched_are_refused():
    bounds = {"sgd, batch_size=16": FOUND, "sgd, batch_size=32": FOUND}

    with pytest.raises(ValueError, match=r"Bounds of sgd must be of each batch size .* got 16, 32 without 64\."):
        SearchSpace.from_bounds(bounds, cases=CASES, batch_sizes=(16, 64))


def test_bounds_of_two_models_are_refused():
    cases = {f"sgd, units={units}": Case("sgd", "sgd", 32, (("units", units),)) for units in (8, 16)}

    with pytest.raises(ValueError, match="`bounds` must be of one model, got two of sgd at batch_size=32"):
        SearchSpace.from_bounds(dict.fromkeys(cases, FOUND), cases=cases)


def test_a_space_of_cyclical_schedules_alone_reaches_the_largest_maximum_of_a_cycle():
    bounds = {"sgd": replace(FOUND, lowest=3e-2)}
    cyclical = SearchSpace.from_bounds(bounds, schedules=("triangular", "one_cycle"))
    both = SearchSpace.from_bounds(bounds, schedules=("triangular", "fixed"))

    assert rate_of(cyclical).high == 3e-2
    assert rate_of(both).high == rate_of(SearchSpace.from_bounds(bounds)).high == FOUND.high
    assert rate_of(SearchSpace.from_bounds({"sgd": FOUND}, schedules=("triangular",))).high == FOUND.high


def test_the_base_of_a_cycle_reaches_down_to_the_lower_bound_under_the_highest_peak():
    space = SearchSpace((OptimizerRange("sgd", 1e-2, 0.1), OptimizerRange("adam", 1e-3, 2e-2)), ("triangular", "fixed"))
    base = next(found for found in space.dimensions() if found.name == "triangular__base_fraction")

    assert (base.low, base.high) == (pytest.approx(1e-3 / 2e-2), 0.5)
    assert next(found for found in SPACE.dimensions() if found.name == base.name).low == pytest.approx(0.01)


def test_the_domain_of_a_base_holds_its_default_however_narrow_the_bounds_are():
    space = SearchSpace((OptimizerRange("sgd", 1e-2, 1.1e-2),), ("triangular", "one_cycle"))

    assert {found.low for found in space.dimensions() if found.name.endswith("base_fraction")} == {0.25, 0.1}


def test_the_suggestion_of_the_optimizer_that_got_furthest_is_tried_first():
    lrs = tuple(10.0 ** (i / 8 - 5) for i in range(41))
    curves = {
        label: (RangeCurve(lrs, tuple(2 - depth * min(lr / 1e-2, 1) + (lr / 0.3) ** 2 for lr in lrs)),)
        for label, depth in (("sgd", 0.5), ("adam", 1.0))
    }
    bounds = {label: find_bounds(repeats) for label, repeats in curves.items()}
    result = RangeTestResult(curves, bounds, {name: Case(name, name, 32) for name in curves}, Ramp(), 0)
    space = SearchSpace.from_result(result, schedules=("fixed", "cosine"))

    assert [found["optimizer"] for found in space.suggested_parameters()] == ["adam", "sgd"]
    assert space == SearchSpace.from_bounds({name: bounds[name] for name in ("adam", "sgd")}, schedules=space.schedules)

    longer = SearchSpace.from_result(result.for_training(50_000))
    for for_long, for_usual in zip(longer.optimizers, space.optimizers, strict=True):
        assert for_long.high < for_usual.high


@pytest.mark.parametrize(("schedule", "least"), [("fixed", 1), ("triangular", 16), ("step", 6), ("one_cycle", 3)])
def test_a_training_too_short_for_a_schedule_that_may_be_proposed_is_refused(schedule, least):
    space = SearchSpace((SGD,), (schedule,))
    space.check_num_steps(least)

    with pytest.raises(ValueError, match=r"needs at least \d+ steps|`num_steps`"):
        space.check_num_steps(least - 1)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (replace(SPACE, batch_sizes=(16,)), r"batch_sizes was \[16\], now \[16, 32\]"),
        (replace(SPACE, weight_decay=(1e-5, 1e-3)), r"weight_decay was \[1e-05, 0\.001\], now None"),
        (
            replace(SPACE, optimizers=(replace(SGD, high=2.0), ADAM)),
            (
                r"optimizers had \[\{'name': 'sgd', 'low': 0\.01, 'high': 2\.0, 'suggested': 0\.2, [^\[]*\], now "
                r"\[\{'name': 'sgd', 'low': 0\.01, 'high': 1\.0, [^\[]*\]\. Take another"
            ),
        ),
        (replace(SPACE, optimizers=(ADAM, SGD)), "the order of optimizers was another"),
    ],
)
def test_a_kept_study_of_another_space_is_refused_with_what_differs_alone(kept, message):
    check_same_space(SPACE.as_dict(), SPACE.as_dict(), "The study")

    with pytest.raises(ForeignStudy, match=f"The study must be of this search space, but {message}"):
        check_same_space(kept.as_dict(), SPACE.as_dict(), "The study")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizers": (SGD, SGD)}, "must be its own, got 'sgd' twice"),
        (
            {"optimizers": (AT_16,), "batch_sizes": (16, 32)},
            "one range of sgd, or one for each of .* got batch_size=16",
        ),
        ({"optimizers": (SGD, AT_16), "batch_sizes": (16,)}, "one range of sgd, .* got batch_size=None, 16"),
        ({"schedules": ("fixed", "fixed")}, "must be its own, got 'fixed' twice"),
        ({"schedules": ("one-cycle",)}, "got 'one-cycle'. Did you mean 'one_cycle'?"),
        ({"batch_sizes": (16, 0)}, r"`batch_sizes` must be whole numbers >= 1, got \(16, 0\)"),
        ({"batch_sizes": (16.0,)}, r"`batch_sizes` must be whole numbers >= 1, got \(16.0,\)"),
        ({"own": (Dimension("units", (8,)), Dimension("units", (9,)))}, "must be its own, got 'units' twice"),
        ({"optimizers": ()}, "at least one of `optimizers`, got none"),
        ({"schedules": ()}, "at least one of `schedules`, got none"),
        ({"batch_sizes": ()}, "at least one of `batch_sizes`, got none"),
        ({"schedules": ("fixed", "zigzag")}, "`schedules` must be of fixed, .*, got 'zigzag'"),
    ],
)
def test_a_space_with_nothing_to_choose_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace(**{"optimizers": (SGD,), **arguments})


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.1), (0.0, 1.0), (1.0, 1.0)])
def test_a_range_that_is_no_range_is_refused(low, high):
    with pytest.raises(ValueError, match="`0 < low < high` must hold for sgd"):
        OptimizerRange("sgd", low, high)


def test_a_cyclical_maximum_below_the_constant_one_is_refused():
    with pytest.raises(
        ValueError, match=r"`high < cyclical_high` must hold for sgd, got high=1\.0, cyclical_high=0\.5"
    ):
        replace(SGD, cyclical_high=0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("sgd", "fixed", 0.0, 32), "`lr` must be positive and finite, got 0.0"),
        (("sgd", "fixed", float("inf"), 32), "`lr` must be positive and finite, got inf"),
        (("sgd", "fixed", 0.1, 0), "`batch_size` must be >= 1, got 0"),
        (("sgd", "step", 0.1, 32, (("num_drops", 9.0),)), "`num_drops` of 'step' must be a whole number from 1 to 5"),
        (("sgd", "step", 0.1, 32, (("factor", 0.5),)), "Parameters of 'step' must be of .*, got 'factor'"),
        (("sgd", "zigzag", 0.1, 32), "`schedule` must be one of fixed, .*, got 'zigzag'"),
    ],
)
def test_a_config_out_of_its_domain_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TrialConfig(*values)


def test_the_optimizer_of_a_config_is_ready_for_compile():
    """It trains with plain Keras, at the rates of the config's own table."""
    config = TrialConfig("adam", "exponential", 0.01, 32, (("final_fraction", 0.1),))
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(config.optimizer(num_steps=8), "mse")
    rates = []
    for _ in range(8):
        rates.append(float(model.optimizer.learning_rate))
        model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))

    np.testing.assert_allclose(rates, config.learning_rates(8), rtol=1e-6)
    assert rates[0] == pytest.approx(0.01)


def test_a_result_survives_json():
    config = TrialConfig("sgd", "triangular", 0.5, 16, (("base_fraction", 0.1), ("num_cycles", 2.0)))
    result = TrialResult(3, config, TrialState.COMPLETED, (2.0, 1.0, 0.5), (2.5, 1.5, 1.75), 90, 0.25)
    again = TrialResult.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False)))

    assert again == result
    assert (again.best_epoch, again.score) == (2, 1.5)


def test_a_diverged_result_survives_json_without_nan():
    config = TrialConfig("sgd", "fixed", 0.5, 16)
    result = TrialResult(3, config, TrialState.DIVERGED, (2.0, float("inf")), (2.5, float("nan")), 40, 0.1)
    again = TrialResult.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False)))

    assert (again.state, again.best_epoch, again.score) == (TrialState.DIVERGED, 1, 2.5)
    assert np.isnan(again.train_losses[1])


@pytest.mark.parametrize(
    ("bounds", "options", "message"),
    [
        ({"sgd": (1e-3, 1e-1)}, {}, "must be lrrt.Bounds by the label of their optimizer, such as result.bounds, got"),
        (None, {}, "must be lrrt.Bounds by the label of their optimizer"),
        ({}, {"schedules": "fixed"}, r"`schedules` must be several, such as \['fixed'\], got 'fixed'"),
        ({}, {"batch_sizes": 32}, r"`batch_sizes` must be several, such as \[32\], got 32"),
    ],
)
def test_what_are_no_bounds_or_not_several_is_refused_with_the_remedy(bounds, options, message):
    with pytest.raises(TypeError, match=message):
        SearchSpace.from_bounds(bounds, **options)
