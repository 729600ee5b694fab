"""`lrrt validate` tells every mistake that is cheap to find, and says what it checked."""

import pytest
from typer.testing import CliRunner

from pipeline.cli import app

TASK = """
import keras, keras_tuner, sys

def build_model():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model

MODEL = build_model()

def same_model():
    return MODEL

def no_loss():
    return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])

def no_such_loss():
    model = no_loss()
    model.compile("sgd", {"dense": "sparse_crossentropy"})
    return model

def raising():
    raise OSError("weights.h5 is missing")

def leaving():
    sys.exit(0)

class Hyper(keras_tuner.HyperModel):
    def build(self, hp):
        return build_model()

hyper_model = Hyper()

def no_model():
    return 3

def load_data():
    raise AssertionError("data is not loaded")

def of_two(hp, units):
    return build_model()

def load_from(folder, name):
    return {}

def load_by(*, hp):
    return {}

def load_with(hyperparameters):
    raise AssertionError("data is not loaded")

def callbacks(config, more):
    return []
"""


@pytest.fixture
def validate(tmp_path, monkeypatch):
    """Return what runs the command on a task in a module of the test's own, with these names of its functions."""
    module = f"task_of_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(TASK)
    (tmp_path / "needs_more.py").write_text("import of_nobody")
    monkeypatch.syspath_prepend(str(tmp_path))

    def validate(**names):
        names = {"build_model": "build_model", "load_data": "load_data", **names}
        paths = {key: name if ":" in name else f"{module}:{name}" for key, name in names.items()}
        lines = [f'{key} = "{path}"' for key, path in paths.items()]
        (tmp_path / "search.toml").write_text("\n".join(["[task]", *lines]) + "\n")
        words = ["validate", str(tmp_path / "search.toml"), "--app-dir", str(tmp_path)]
        ended = CliRunner().invoke(app, words, prog_name="lrrt")
        return ended.exit_code, ended.stderr

    return validate


def test_a_good_task_is_built_and_its_data_is_not_loaded(validate):
    code, shown = validate()

    assert code == 0
    assert "is a valid config." in shown
    assert "build_model builds a compiled model, Sequential, 4 parameters." in shown
    assert (
        "load_data can be called with no argument; it was not called, so its data is not checked: `lrrt plan` does."
        in shown
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"build_model": "nowhere:build_model"}, "importing 'nowhere' raised ModuleNotFoundError"),
        ({"build_model": "task_of.py:build_model"}, 'Write it without ".py": "task_of:build_model".'),
        ({"build_model": "needs_more:build_model"}, "No module named 'of_nobody'"),
        ({"build_model": "needs_more:build_model"}, "Install what brings 'of_nobody' in the environment of lrrt."),
        ({"build_model": "no_such_loss"}, "got 'sparse_crossentropy'. Did you mean 'sparse_categorical_crossentropy'?"),
        ({"build_model": "build_modle"}, "has no 'build_modle'; it has build_model"),
        ({"build_model": "raising"}, "it raised OSError: weights.h5 is missing"),
        ({"build_model": "leaving"}, "it raised SystemExit: 0"),
        ({"build_model": "no_model"}, "must return a compiled keras.Model, got int"),
        ({"build_model": "no_loss"}, "must return a compiled model, got"),
        (
            {"build_model": "MODEL"},
            "must be a function that builds a model, since each trial begins with a new one, got",
        ),
        ({"build_model": "same_model"}, "must make a new model at each call"),
        ({"build_model": "of_two"}, "must take no argument, or one (KerasTuner's hp), got one that needs hp, units"),
        (
            {"load_data": "load_from"},
            "must take no argument, or one (KerasTuner's hp), got one that needs folder, name",
        ),
        ({"load_data": "load_by"}, "must take no argument, or one (KerasTuner's hp), got one that needs hp by keyword"),
        ({"callbacks": "callbacks"}, "must take no argument, or one (a trial's config), got one that needs config, mo"),
    ],
)
def test_a_task_that_no_run_could_use_is_refused_with_the_exit_code_of_bad_tasks(validate, names, message):
    code, shown = validate(**names)

    assert code == 65
    assert message in " ".join(shown.split())


def test_the_argument_of_a_loader_may_have_any_name_as_in_a_run(validate):
    code, shown = validate(load_data="load_with")

    assert code == 0, shown
    assert "load_with can be called with KerasTuner's hp as hyperparameters" in shown


@pytest.mark.parametrize("model", ["Hyper", "hyper_model"])
def test_a_hyper_model_is_taken_as_a_run_takes_it(validate, model):
    code, shown = validate(build_model=model)

    assert code == 0, shown
    assert f"{model} builds a compiled model" in shown


def test_every_mistake_is_told_at_once(validate):
    code, shown = validate(build_model="raising", load_data="load_from")

    assert code == 65
    assert "weights.h5 is missing" in shown
    assert "needs folder" in shown


def test_a_module_that_cannot_be_imported_is_one_mistake_with_a_near_name_in_its_folder(validate, tmp_path):
    missing = f"{'task_of_' + tmp_path.name}s"

    code, shown = validate(build_model=f"{missing}:build_model", load_data=f"{missing}:load_data")

    assert code == 65
    assert shown.count("No module named") == 1
    assert f"was looked for in {tmp_path}: run the command in the folder of the module" in shown
    assert f"Did you mean '{missing[:-1]}'?" in shown
