"""Shows how the hyperparameters of a user's `build(hp)` are found, and when each of them exists."""

import re

import keras
import keras_tuner
import numpy as np
import pytest

from lrrt import Loops
from studies import (
    KerasTunerStudy,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    Trainer,
    TrialConfig,
    TrialState,
    own_dimensions,
)
from studies.space import exploring
from studies.space.builds import build_with
from studies.space.model_hyperparameters import model_space

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def compiled(*layers, optimizer="sgd", loss="mse"):
    model = keras.Sequential([keras.layers.Input((4,)), *layers, keras.layers.Dense(1)])
    model.compile(optimizer, loss)
    return model


def loop_of_layers(default):
    def build(hp):
        layers = []
        for number in range(hp.Int("layers", 1, 3, default=default)):
            layers.append(keras.layers.Dense(hp.Int(f"units_{number}", 2, 4)))
        return compiled(*layers)

    return build


def branches(hp):
    layers = []
    with hp.name_scope("first"):
        kind = hp.Choice("kind", ["wide", "deep"], default="deep")
    if kind == "wide":
        with hp.name_scope("wide"):
            layers.append(keras.layers.Dense(hp.Int("units", 4, 8)))
    else:
        for number in range(hp.Int("blocks", 0, 2)):
            with hp.name_scope(f"block_{number}"):
                layers.append(keras.layers.Dense(2, hp.Choice("activation", ["relu", "tanh"])))
                if hp.Boolean("drop"):
                    layers.append(keras.layers.Dropout(hp.Float("rate", 0.1, 0.5)))
    return compiled(*layers)


def scopes(hp):
    layers = []
    kind = hp.Choice("kind", ["mlp", "linear"], default="linear")
    with hp.conditional_scope("kind", ["mlp"]):
        if kind == "mlp":
            depth = hp.Int("depth", 1, 2)
            with hp.conditional_scope("depth", [2]):
                if depth == 2:
                    layers.append(keras.layers.Dense(hp.Int("second", 2, 4)))
    hp.Int("of_linear", 1, 2, parent_name="kind", parent_values=["linear"])
    return compiled(*layers)


def both_needed(hp):
    is_deep, kind = hp.Boolean("is_deep"), hp.Choice("kind", ["a", "b", "c"])
    return compiled(*([keras.layers.Dense(hp.Int("units", 2, 4))] if is_deep and kind == "c" else []))


def above_a_number(hp):
    units = hp.Int("units", 2, 32, step=2)
    return compiled(*([keras.layers.Dropout(hp.Float("rate", 0.1, 0.5))] if units > 20 else []))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (loop_of_layers(1), {"layers": (), "units_0": (), "units_1": (2, 3), "units_2": (3,)}),
        (loop_of_layers(3), {"layers": (), "units_0": (), "units_1": (2, 3), "units_2": (3,)}),
        (above_a_number, {"units": (), "rate": (22, 24, 26, 28, 30, 32)}),
    ],
)
def test_a_name_exists_with_the_values_of_its_parent_that_show_it(build, expected):
    found = {one.name: one.conditions[0][1] if one.conditions else () for one in own_dimensions(build)}
    assert found == expected


def test_names_in_branches_of_branches_are_found_with_all_their_parents():
    found = {one.name: dict(one.conditions) for one in own_dimensions(branches)}

    assert found["wide/units"] == {"first/kind": ("wide",)}
    assert found["blocks"] == {"first/kind": ("deep",)}
    assert found["block_1/rate"] == {"first/kind": ("deep",), "blocks": (2,), "block_1/drop": (True,)}


def test_names_in_conditional_scopes_exist_where_the_scopes_are_open():
    found = {one.name: dict(one.conditions) for one in own_dimensions(scopes)}

    assert found["depth"] == {"kind": ("mlp",)}
    assert found["second"] == {"kind": ("mlp",), "depth": (2,)}
    assert found["of_linear"] == {"kind": ("linear",)}


def loops_in_a_loop(hp):
    layers = []
    for block in range(hp.Int("blocks", 1, 3)):
        for layer in range(hp.Int(f"layers_{block}", 1, 2)):
            name = f"{block}_{layer}"
            activation = hp.Choice(f"activation_{name}", ["relu", "tanh"])
            layers.append(keras.layers.Dense(hp.Int(f"units_{name}", 4, 16, step=4), activation=activation))
        if hp.Boolean(f"drop_{block}"):
            layers.append(keras.layers.Dropout(hp.Float(f"rate_{block}", 0.1, 0.5)))
    return compiled(*layers)


def random_values(dimensions, rng):
    values = {}
    for one in dimensions:
        if one.is_active(values):
            steps = range(int(one.low), int(one.high) + 1, int(one.step or 1)) if one.integer else (one.low, one.high)
            values[one.name] = (one.choices or steps)[int(rng.integers(len(one.choices or steps)))]
    return values


@pytest.mark.long
def test_layers_in_loops_in_a_loop_are_found_where_they_are_and_with_few_builds(monkeypatch):
    num_builds, told = [], []

    def counted(hp):
        num_builds.append(1)
        return loops_in_a_loop(hp)

    monkeypatch.setattr(exploring, "TELL_EVERY_S", 0.0)
    dimensions = model_space(counted, on_progress=told.append).dimensions
    every = [random_values(dimensions, np.random.default_rng(seed)) for seed in range(20)]

    assert len(dimensions) == 22
    assert all(build_with(loops_in_a_loop, values)[0].values == values for values in every)
    assert len(num_builds) < 65
    assert re.match(r"looking for the model's hyperparameters: \d+ after \d+ builds, of 150 at most", told[-1])


def test_a_name_that_two_others_must_agree_on_is_found():
    assert dict(own_dimensions(both_needed)[-1].conditions) == {"is_deep": (True,), "kind": ("c",)}


def test_every_process_finds_the_same_space():
    assert own_dimensions(scopes) == own_dimensions(scopes)


def test_a_build_that_raises_somewhere_hides_no_names():
    def brittle(hp):
        if hp.Int("layers", 1, 3) == 3 and hp.Boolean("is_wide"):
            raise MemoryError("no room")
        return compiled(keras.layers.Dense(hp.Int("units", 2, 4)))

    found = {one.name: one.conditions for one in own_dimensions(brittle)}
    assert found == {"layers": (), "units": (), "is_wide": (("layers", (3,)),)}


def test_a_build_that_raises_under_its_defaults_is_refused_with_its_own_words():
    def broken(hp):
        raise OSError("no such weights")

    with pytest.raises(OSError, match="no such weights"):
        own_dimensions(broken)


def test_a_name_with_two_ranges_is_refused():
    def build(hp):
        is_wide = hp.Boolean("is_wide")
        return compiled(keras.layers.Dense(hp.Int("units", 64, 128) if is_wide else hp.Int("units", 2, 8)))

    with pytest.raises(ValueError, match=r"the same values .* got 'units' as Int\(min_value=2, max_value=8, .*=64"):
        own_dimensions(build)


def test_only_so_many_builds_are_made_and_the_user_is_told():
    num_builds = []

    def build(hp):
        num_builds.append(1)
        return compiled(*(keras.layers.Dense(hp.Int(f"units_{n}", 1, 50)) for n in range(hp.Int("layers", 1, 20))))

    found = model_space(build, max_builds=10)
    assert len(num_builds) <= 12
    assert found.notes[-1].startswith("the model was built under 10 sets of values, which may not have shown all")


def every_kind(hp):
    values = {
        "fixed": hp.Fixed("fixed", 3),
        "is_on": hp.Boolean("is_on", default=True),
        "text": hp.Choice("text", ["relu", "tanh", "None"]),
        "count": hp.Choice("count", [2, 4, 8]),
        "stepped": hp.Float("stepped", 0.0, 0.5, step=0.25),
        "log": hp.Float("log", 1e-4, 1e-1, sampling="log"),
        "powers": hp.Int("powers", 2, 16, step=2, sampling="log"),
        "reverse": hp.Float("reverse", 0.1, 1.0, sampling="reverse_log"),
        "steps": hp.Int("steps", 2, 12, step=5),
    }
    assert hp.get("fixed") == hp.values["fixed"] == 3
    assert "steps" in hp
    model = compiled(keras.layers.Dense(values["count"]))
    model.asked = {name: (type(value).__name__, value) for name, value in values.items()}
    return model


@pytest.mark.parametrize("engine", ["optuna", pytest.param("keras_tuner", marks=pytest.mark.long)])
def test_every_kind_of_hyperparameter_reaches_the_build_as_kerastuner_gives_it(engine, tmp_path):
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-2),), own=own_dimensions(every_kind))
    built = []

    class Trials(Trainer):
        def train(self, config, **options):
            built.append(self.cache.loops_of(config).model.asked)
            return super().train(config, **options)

    trainer = Trials(Loops(every_kind, (X, Y), optimizers=["sgd"], validation_data=(X, Y)), epochs=1)
    results = opened(engine, space, tmp_path).run(trainer, num_trials=3)

    types = {"fixed": "int", "is_on": "bool", "text": "str", "count": "int", "stepped": "float", "log": "float"}
    types |= {"powers": "int", "reverse": "float", "steps": "int"}
    assert {result.state for result in results} == {TrialState.COMPLETED}
    for asked, result in zip(built, results, strict=True):
        assert {name: kind for name, (kind, _) in asked.items()} == types
        assert {name: value for name, (_, value) in asked.items()} == dict(result.config.own)
        assert asked["stepped"][1] in (0.0, 0.25, 0.5)
        assert asked["powers"][1] in (2, 4, 8, 16)
        assert asked["steps"][1] in (2, 7, 12)


def opened(engine, space, folder, **options):
    if engine == "optuna":
        return OptunaStudy(space, **options)
    return KerasTunerStudy(space, directory=folder, sampler="random", **options)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_either_engine_searches_a_layer_only_where_it_is(engine, tmp_path):
    build = loop_of_layers(1)
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-2),), own=own_dimensions(build))
    trainer = Trainer(Loops(build, (X, Y), optimizers=["sgd"], validation_data=(X, Y)), epochs=1)
    results = opened(engine, space, tmp_path).run(trainer, num_trials=6)
    chosen = [dict(result.config.own) for result in results]

    assert {result.state for result in results} == {TrialState.COMPLETED}
    assert all(set(own) == {"layers", *(f"units_{n}" for n in range(own["layers"]))} for own in chosen)
    assert {own["layers"] for own in chosen} != {1}
    if engine == "keras_tuner":
        tuner = keras_tuner.RandomSearch(build, objective="val_loss", directory=str(tmp_path), project_name="lrrt")
        kept = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
        assert {tuple(sorted(values.items())) for values in kept} == {
            tuple(sorted(result.config.parameters().items())) for result in results
        }


def seldom(hp):
    """Ask for a name that depends on a number with endless values, and for one that no early build shows."""
    rate = hp.Float("rate", 0.0, 1.0)
    layers = [keras.layers.Dropout(rate / 2, seed=hp.Int("seed", 1, 9))] if rate > 0.5 else []
    if 0.2 < rate < 0.3:
        layers.append(keras.layers.Dense(hp.Int("late", 2, 4)))
    return compiled(*layers)


@pytest.mark.long
def test_a_hyperparameter_that_does_not_exist_in_a_trial_is_absent_there():
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-2),), own=own_dimensions(seldom))
    trainer = Trainer(Loops(seldom, (X, Y), optimizers=["sgd"], validation_data=(X, Y)), epochs=1)
    study = OptunaStudy(space, sampler="random")
    results = study.run(trainer, num_trials=6)
    chosen = [dict(result.config.own) for result in results]

    assert {result.state for result in results} == {TrialState.COMPLETED}
    assert {(own["rate"] > 0.5, "seed" in own) for own in chosen} == {(True, True), (False, False)}
    assert [trial.params for trial in study.study.trials] == [result.config.parameters() for result in results]
    assert all(space.holds(result.config) for result in results)


def test_a_hyperparameter_that_appears_in_a_trial_is_told():
    notes = []
    trainer = Trainer(Loops(seldom, (X, Y), optimizers=["sgd"], validation_data=(X, Y)), epochs=1, on_note=notes.append)
    for rate in (0.25, 0.26):
        trainer.as_built(TrialConfig("sgd", "fixed", 1e-3, 32, own=(("rate", rate),)))

    (note,) = notes
    assert note.startswith("hyperparameter 'late' is not searched: only some trials' models ask for it")
    assert note.endswith("it keeps its default, 2")


def with_optimizer(hp):
    """Choose the optimizer and its settings as KerasTuner's guides do."""
    name, rate = (
        hp.Choice("optimizer", ["adam", "sgd", "rmsprop"]),
        hp.Float("learning_rate", 1e-4, 1e-1, sampling="log"),
    )
    momentum = hp.Float("momentum", 0.0, 0.9)
    optimizer = {
        "adam": lambda: keras.optimizers.Adam(rate, weight_decay=hp.Float("decay", 1e-6, 1e-2), clipnorm=1.0),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate),
    }[name]()
    return compiled(keras.layers.Dense(hp.Int("units", 2, 4)), optimizer=optimizer)


def test_what_only_feeds_the_optimizer_is_left_out_with_a_sentence():
    found = model_space(with_optimizer)

    assert [one.name for one in found.dimensions] == ["units"]
    assert found.optimizers == ("adam", "sgd", "rmsprop")
    assert [note.split("'")[1] for note in found.notes] == ["optimizer", "learning_rate", "momentum", "decay"]
    assert found.notes[1] == (
        "hyperparameter 'learning_rate' of the model is not searched: it only sets up the model's optimizer, in whose "
        "place trials have their own; range tests give the rates to search"
    )


def scheduled(hp):
    steps = hp.Int("steps", 10, 100)
    return compiled(optimizer=keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, steps)))


def in_place_of_a_name(hp):
    return compiled(optimizer=hp.Choice("how", ["adam", "sgd"]))


@pytest.mark.parametrize("build", [scheduled, in_place_of_a_name])
def test_a_hyperparameter_of_the_optimizer_is_known_by_what_it_changes_whatever_its_name(build):
    assert own_dimensions(build, on_note=lambda note: None) == ()


def learning_rate_of_a_layer(hp):
    rate = hp.Float("learning_rate", 0.1, 0.5)
    return compiled(keras.layers.GaussianNoise(rate), optimizer=keras.optimizers.SGD(rate))


def of_the_loss(hp):
    weight = hp.Float("weight", 0.1, 0.5)
    return compiled(
        optimizer=keras.optimizers.SGD(weight),
        loss=lambda y, y_pred: weight * keras.losses.mean_squared_error(y, y_pred),
    )


class Scaled(keras.Sequential):
    """A model with a number of its own, which no config holds."""

    scale = 1.0


def of_the_model(hp):
    model = Scaled([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.scale = hp.Float("scale", 0.1, 0.5)
    model.compile(keras.optimizers.SGD(model.scale), "mse")
    return model


def of_initial_values(hp):
    start = hp.Float("start", 0.1, 0.5)
    model = compiled(optimizer=keras.optimizers.SGD(start))
    model.layers[-1].bias.assign([start])
    return model


@pytest.mark.parametrize("build", [learning_rate_of_a_layer, of_the_loss, of_the_model, of_initial_values])
def test_what_feeds_the_optimizer_and_more_of_the_model_is_searched(build):
    assert len(own_dimensions(build)) == 1


def test_a_choice_of_optimizers_with_layers_of_its_own_is_searched():
    def build(hp):
        name = hp.Choice("how", ["adam", "sgd"])
        return compiled(*([keras.layers.Dense(hp.Int("units", 2, 4))] if name == "sgd" else []), optimizer=name)

    found = model_space(build)
    assert {one.name: one.conditions for one in found.dimensions} == {"how": (), "units": (("how", ("sgd",)),)}
    assert found.optimizers == ()


class OneLayer(keras_tuner.HyperModel):
    def __init__(self, most=4):
        super().__init__()
        self.most = most

    def declare_hyperparameters(self, hp):
        hp.Boolean("is_deep")

    def build(self, hp):
        layers = [keras.layers.Dense(2)] if hp.get("is_deep") else []
        return compiled(*layers, keras.layers.Dense(hp.Int("units", 2, self.most)))


class OneLayerFit(OneLayer):
    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch_size", [16, 32]), **kwargs)


class Untunable(OneLayer):
    def __init__(self):
        super().__init__()
        self.tunable = False


class NeedsArgument(OneLayer):
    def __init__(self, most):
        super().__init__(most)


@pytest.mark.long
@pytest.mark.parametrize("model", [OneLayer, OneLayer()])
def test_hyper_models_are_taken_as_instances_and_as_classes(model):
    space = SearchSpace((OptimizerRange("sgd", 1e-3, 1e-2),), own=own_dimensions(model))
    trainer = Trainer(Loops(model, (X, Y), optimizers=["sgd"], validation_data=(X, Y)), epochs=1)
    results = OptunaStudy(space, sampler="random").run(trainer, num_trials=2)

    assert {result.state for result in results} == {TrialState.COMPLETED}
    assert {tuple(sorted(dict(result.config.own))) for result in results} == {("is_deep", "units")}


def test_a_fit_of_a_hyper_model_is_told_not_to_be_called():
    assert model_space(OneLayer).notes == ()
    (note,) = model_space(OneLayerFit()).notes
    assert note.startswith("OneLayerFit.fit is not called: every trial is trained by lrrt's own loop")


def test_a_hyper_model_that_is_not_tunable_has_nothing_to_search():
    assert [one.name for one in own_dimensions(Untunable)] == ["is_deep"]  # as in KerasTuner, which declares it


def test_a_hyper_model_class_that_needs_arguments_is_refused():
    with pytest.raises(TypeError, match=r"NeedsArgument, which needs most. Pass an instance: NeedsArgument\(...\)"):
        own_dimensions(NeedsArgument)
