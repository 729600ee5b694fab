"""What the compiled loop applied, read back from what each step did to the weights, is what the schedule says."""

import doctest

import keras
import numpy as np
import pytest

from studies import FAMILIES, Trainer, TrialConfig
from studies.schedules.one_cycle import one_cycle_momentum
from studies.training import momentum
from studies.training.momentum import momentum_table, moves_momentum
from tests.studies.recording import EPOCHS, NUM_STEPS, applied, make_loops


@pytest.fixture(scope="module")
def trainer():
    return Trainer(make_loops(), epochs=EPOCHS, patience=None)


def config(optimizer, schedule, **values):
    return TrialConfig(optimizer, schedule, 0.1, 2, **values)


@pytest.mark.parametrize("schedule", FAMILIES)
def test_the_rates_of_every_family_are_applied_step_by_step(schedule, trainer):
    weights, _ = applied(trainer, config("sgd", schedule))
    expected = config("sgd", schedule).learning_rates(NUM_STEPS)

    np.testing.assert_allclose(-np.diff(weights), expected, rtol=1e-3, atol=1e-6)
    assert trainer.cache.loops.num_traces["sgd", 2] == 1


def test_a_warm_up_is_applied_too(trainer):
    warm = config("sgd", "cosine", schedule_parameters=(("warmup", 0.25),))
    weights, _ = applied(trainer, warm)
    np.testing.assert_allclose(-np.diff(weights), warm.learning_rates(NUM_STEPS), rtol=1e-3, atol=1e-6)


def test_one_cycle_moves_the_momentum_of_sgd_against_the_rate(trainer):
    """Velocity is momentum times the velocity before, minus the rate, where the gradient is 1."""
    one_cycle = config("momentum", "one_cycle")
    _, velocities = applied(trainer, one_cycle)
    rates = one_cycle.learning_rates(NUM_STEPS)
    momenta = (velocities[2:] + rates[1:]) / velocities[1:-1]

    np.testing.assert_allclose(momenta, one_cycle_momentum(NUM_STEPS, high=0.9, low=0.7)[1:], rtol=1e-4)


def test_one_cycle_moves_the_first_beta_of_adam_as_smith_does(trainer):
    """The average of gradients of 1 keeps beta of its distance to 1."""
    _, averages = applied(trainer, config("adam", "one_cycle"))
    betas = (1 - averages[1:]) / (1 - averages[:-1])

    np.testing.assert_allclose(betas, one_cycle_momentum(NUM_STEPS, high=0.95, low=0.85), rtol=1e-4)


def test_trials_with_other_momenta_trace_nothing_more(trainer):
    for rise_fraction in (0.2, 0.5):
        cycle = config("momentum", "one_cycle", schedule_parameters=(("rise_fraction", rise_fraction),))
        _, velocities = applied(trainer, cycle)
        momenta = (velocities[2:] + cycle.learning_rates(NUM_STEPS)[1:]) / velocities[1:-1]
        expected = one_cycle_momentum(NUM_STEPS, rise_fraction=rise_fraction, high=0.9, low=0.7)
        np.testing.assert_allclose(momenta, expected[1:], rtol=1e-4)
    applied(trainer, config("momentum", "fixed", momentum=0.5))

    assert trainer.cache.loops.num_traces["momentum with searched momentum", 2] == 1


def test_a_searched_momentum_is_applied_and_one_cycle_swings_about_it(trainer):
    _, velocities = applied(trainer, config("sgd", "fixed", momentum=0.5))
    np.testing.assert_allclose((velocities[2:] + 0.1) / velocities[1:-1], 0.5, rtol=1e-4)

    table = momentum_table(config("sgd", "one_cycle", momentum=0.5), keras.optimizers.SGD(), 20)
    assert (table[0], table.min()) == pytest.approx((0.75, 0.25))


def test_other_schedules_and_optimizers_without_momentum_keep_their_own():
    assert not moves_momentum(config("adam", "cosine"), keras.optimizers.Adam())
    assert not moves_momentum(config("sgd", "one_cycle"), keras.optimizers.SGD())
    assert not moves_momentum(config("adagrad", "one_cycle"), keras.optimizers.Adagrad())
    assert momentum_table(config("sgd", "one_cycle"), keras.optimizers.SGD(), 5) is None


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adamax", "Nadam", "Lion", "Lamb", "Muon"])
def test_the_momentum_of_every_optimizer_that_has_one_is_cycled(name):
    assert moves_momentum(config("any", "one_cycle"), getattr(keras.optimizers, name)())


def test_doctests_hold():
    assert doctest.testmod(momentum).failed == 0


def test_momenta_that_the_loop_has_no_variable_for_are_refused(trainer):
    loop = trainer.cache.loops.get("sgd")
    with pytest.raises(ValueError, match="`momenta` must have one for each rate if the loop has a variable"):
        loop.train([0.1, 0.1], momenta=[0.9, 0.9])
