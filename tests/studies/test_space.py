"""What is true of the search space, the values it gives, and the trials made of them."""

import json

import keras
import numpy as np
import optuna
import pytest
from keras_tuner import HyperParameters

from lrrt import Bounds, Verdict
from studies import FAMILIES, OptimizerRange, SearchSpace, TrialConfig, TrialResult, TrialState

SGD = OptimizerRange("sgd", 1e-2, 1.0, 0.2)
ADAM = OptimizerRange("adam", 1e-4, 1e-2, 2e-3)
SPACE = SearchSpace((SGD, ADAM), tuple(FAMILIES), (16, 32))
FOUND = Bounds(1e-4, 1e-2, 2e-3, Verdict.FOUND, "")
ABSENT = Bounds(None, None, None, Verdict.FLAT, "")


def test_every_proposal_lies_inside_its_optimizer_s_bounds():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = [SPACE.suggest(study.ask()) for _ in range(200)]

    assert {config.schedule for config in configs} == set(FAMILIES)
    assert {config.batch_size for config in configs} == {16, 32}
    for config in configs:
        bounds = {"sgd": SGD, "adam": ADAM}[config.optimizer_name]
        assert bounds.low <= config.lr <= bounds.high


def test_both_engines_give_the_same_config_for_the_same_values():
    """The parameters that are active, their names and what is made of them do not depend on the engine."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(60):
        trial = study.ask()
        config = SPACE.suggest(trial)
        hp = HyperParameters()
        hp.values = dict(trial.params)

        assert SPACE.suggest(hp) == config
        assert trial.params == config.parameters()


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("sgd", "fixed", 0.0, 32), "`lr` must be positive and finite, got 0.0"),
        (("sgd", "fixed", float("inf"), 32), "`lr` must be positive and finite, got inf"),
        (("sgd", "fixed", 0.1, 0), "`batch_size` must be >= 1, got 0"),
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
