"""Trials that differ by their model's own hyperparameters, weight decay or momentum, in either engine."""

import keras
import pytest

from lrrt import Loops, Ramp, run_range_test
from pipeline.digits_example import build_model
from studies import (
    Dimension,
    KerasTunerStudy,
    LoopCache,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    Trainer,
    TrialConfig,
    TrialState,
    own_dimensions,
)


def build(hp):
    units = hp.Int("units", 8, 24, step=8)
    layers = [keras.layers.Input((64,)), keras.layers.Dense(units, "relu")]
    is_deep = hp.Boolean("deep")
    with hp.conditional_scope("deep", [True]):
        second = hp.Choice("second", [8, 16])
    if is_deep:
        layers.append(keras.layers.Dense(second, "relu"))
    hp.Float("unused", 1e-3, 1e-1, sampling="log")
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def cache(digits):
    loops = Loops(build, digits["train"], optimizers=["sgd", "adam"], validation_data=digits["validation"])
    return LoopCache(loops, max_models=2)


def config(optimizer="sgd", own=(), **values):
    return TrialConfig(optimizer, "fixed", 0.01, 32, own=own, **values)


def test_a_builder_s_hyperparameters_become_dimensions():
    found = {dimension.name: dimension for dimension in own_dimensions(build)}
    units, deep, unused, second = (found[name] for name in ("units", "deep", "unused", "second"))

    assert units == Dimension("units", (), 8, 24, integer=True, step=8, default=8)
    assert (deep.choices, deep.default) == ((True, False), False)
    assert (second.choices, second.conditions) == ((8, 16), (("deep", (True,)),))
    assert (unused.low, unused.high, unused.log) == (1e-3, 1e-1, True)


def test_a_hyperparameter_that_changes_nothing_of_the_model_is_told():
    notes = []
    own_dimensions(build, on_note=notes.append)

    (note,) = notes
    assert note.startswith("hyperparameter 'unused' is searched, but the model was the same when it alone had other")


def test_a_builder_that_can_be_called_without_hp_is_given_it():
    def with_a_default(hp=None):
        return build(hp) if hp else build_model()

    assert own_dimensions(with_a_default) == own_dimensions(build)


def test_a_builder_without_an_argument_has_none():
    assert own_dimensions(build_model) == ()


@pytest.mark.long
@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_either_engine_searches_the_model(engine, cache, tmp_path):
    space = SearchSpace((OptimizerRange("adam", 1e-3, 1e-2, 5e-3),), own=own_dimensions(build))
    study = OptunaStudy(space) if engine == "optuna" else KerasTunerStudy(space, directory=tmp_path)
    results = study.run(Trainer(cache, epochs=1), num_trials=4)

    assert [result.state for result in results] == [TrialState.COMPLETED] * 4
    assert all(space.holds(result.config) for result in results)
    assert len({dict(result.config.own)["units"] for result in results}) > 1


def test_the_model_of_a_trial_has_its_own_values(cache):
    trainer = Trainer(cache, epochs=1)
    trained = trainer.train(config(own=(("deep", False), ("units", 24), ("unused", 0.01))))
    assert trainer.as_trained(trained.result, trained.best_weights).layers[0].units == 24


def test_the_loops_of_a_few_models_are_kept_and_share_the_data(cache):
    kept = [cache.loops_of(config(own=(("deep", False), ("units", units)))) for units in (8, 16, 8, 24)]
    again = cache.loops_of(config(own=(("deep", False), ("units", 8))))

    assert kept[0] is kept[2] is again
    assert cache.loops_of(config(own=(("deep", False), ("units", 16)))) is not kept[1]
    assert all(loops.batches is cache.loops.batches for loops in kept)


@pytest.mark.parametrize(
    "optimizer", ["sgd", *(pytest.param(name, marks=pytest.mark.long) for name in ("adam", "rmsprop"))]
)
def test_searched_momentum_and_weight_decay_are_applied_without_tracing_again(optimizer, digits):
    """The losses are those of an optimizer that has them as plain numbers, whatever the trial before had."""
    loops = Loops(build_model, digits["train"], optimizers=[optimizer], validation_data=digits["validation"])
    trainer = Trainer(loops, epochs=1)
    wanted = config(optimizer, momentum=0.95, weight_decay=0.1)
    before, searched = (
        trainer.train(one).result for one in (config(optimizer, momentum=0.5, weight_decay=1e-4), wanted)
    )
    plain = Loops(
        build_model,
        digits["train"],
        optimizers={optimizer: wanted.with_own_values(loops.patterns[optimizer])},
        validation_data=digits["validation"],
    )
    expected = Trainer(plain, epochs=1).train(config(optimizer)).result

    assert searched.val_losses == pytest.approx(expected.val_losses, rel=1e-4)
    assert searched.val_losses != pytest.approx(before.val_losses, rel=1e-3)
    assert set(loops.num_traces.values()) == {1}


@pytest.mark.long
def test_a_range_test_of_the_same_loops_knows_nothing_of_what_trials_searched(digits):
    loops = Loops(build_model, digits["train"], optimizers=["sgd"], validation_data=digits["validation"])
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-1),), momentum=(0.5, 0.9))
    OptunaStudy(space).run(Trainer(loops, epochs=1), num_trials=1)

    assert list(run_range_test(loops, Ramp(num_steps=20), repeats=1).bounds) == ["sgd"]


def test_an_optimizer_without_momentum_fails_its_trial_alone(digits):
    loops = Loops(build_model, digits["train"], optimizers=["adagrad"], validation_data=digits["validation"])
    space = SearchSpace((OptimizerRange("adagrad", 1e-3, 1e-2),), momentum=(0.5, 0.9))
    (result,) = OptunaStudy(space).run(Trainer(loops, epochs=1), num_trials=1)

    assert result.error == "ValueError: `momentum` must be searched for optimizers that have one, got Adagrad."


def test_a_builder_that_raises_somewhere_fails_those_trials_alone(digits):
    def brittle(hp):
        if hp.Choice("units", [8, 16]) == 16:
            raise MemoryError("no room")
        return build_model()

    loops = Loops(brittle, digits["train"], optimizers=["sgd"], validation_data=digits["validation"])
    space = SearchSpace((OptimizerRange("sgd", 1e-2, 1e-1),), own=(Dimension("units", (8, 16)),))
    results = OptunaStudy(space).run(Trainer(loops, epochs=1), num_trials=6)

    assert {(dict(result.config.own)["units"], result.error) for result in results} == {
        (8, ""),
        (16, "MemoryError: no room"),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight_decay": (0.0, 0.1)}, "`0 < low < high` must hold for weight_decay"),
        ({"momentum": (0.5, 1.0)}, "`0 < low < high < 1` must hold for momentum"),
        ({"own": (Dimension("lr__sgd", (1, 2)),)}, "must have other names than ours, got 'lr__sgd'"),
    ],
)
def test_ranges_that_are_none_and_names_that_are_taken_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace((OptimizerRange("sgd", 1e-2, 1.0),), **arguments)
