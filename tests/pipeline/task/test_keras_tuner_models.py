"""Shows what a stage says of models written for KerasTuner: HyperModels, hyperparameters of the optimizer, failures."""

import re
import subprocess
import sys
import textwrap

import pytest

import pipeline
from pipeline.failures import ConfigError, TaskError
from pipeline.report.plan import make_plan
from pipeline.task.preparation import prepare

pytestmark = pytest.mark.usefixtures("blank_pictures")

SMALL = {
    "range_test.num_steps": 40,
    "range_test.repeats": 1,
    "study.num_trials": 4,
    "study.epochs": 1,
    "study.schedules": ["fixed"],
    "study.sampler": "random",
    "study.top_retrained": 0,
}
TASKS = """
import keras, keras_tuner, numpy as np

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")

def load_data():
    return {"train": (X, X.sum(axis=1, keepdims=True))}

def compiled(units, optimizer="sgd"):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model

class Fitted(keras_tuner.HyperModel):
    def build(self, hp):
        return compiled(hp.Choice("units", [2, 4]))

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, epochs=hp.Int("epochs", 1, 3), **kwargs)

an_instance = Fitted()

class NeedsMore(Fitted):
    def __init__(self, most):
        super().__init__()

def regularized(hp):
    penalty = keras.regularizers.L2(hp.Float("l2", 1e-4, 1e-2))
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1, kernel_regularizer=penalty)])
    model.compile("sgd", "mse")
    return model

def chooses(hp):
    return compiled(4, hp.Choice("optimizer", ["adam", "sgd"]))

def needs_batch_size(hp):
    return compiled(hp.Choice("batch_size", [8, 16]))

def brittle(hp):
    units = hp.Choice("units", [2, 4])
    if units == 4:
        raise ValueError("four units are too many.\\nThe rest of the story is long.")
    return compiled(units)
"""


@pytest.fixture
def config(write_module):
    write_module("tuner_tasks", TASKS)

    def config(model, **overrides):
        names = {"task.build_model": f"tuner_tasks:{model}", "task.load_data": "tuner_tasks:load_data"}
        return pipeline.builtin_config({**SMALL, **names, **overrides}, environ={})

    return config


@pytest.mark.parametrize("model", ["Fitted", "an_instance"])
def test_a_hyper_model_is_taken_and_its_fit_is_said_not_to_be_called_at_the_start_and_in_the_plan(model, config):
    settings = config(model, **{"range_test.optimizers": ["sgd"]})
    prepared, plan = prepare(settings), make_plan(settings)

    assert [one.name for one in prepared.known_by.own] == ["units"]
    (note,) = prepared.known_by.notes
    assert note.startswith("Fitted.fit is not called")
    assert note in plan.notes
    assert note in plan.as_table()


def test_a_plan_says_that_trials_are_ranked_without_penalties_that_differ_between_them(config):
    settings = config("regularized", **{"range_test.optimizers": ["sgd"]})

    assert "ranked, without these penalties" in make_plan(settings).as_table()


def test_a_hyper_model_class_that_needs_arguments_is_refused(config):
    with pytest.raises(TaskError, match=r"tuner_tasks:NeedsMore cannot be used: .* which needs most"):
        prepare(config("NeedsMore"))


def test_a_choice_of_optimizers_is_refused_with_the_line_to_write_if_the_config_names_none(config):
    task = config("chooses").task.model_dump()
    with pytest.raises(ConfigError, match=r'chooses among several, got .* Write: optimizers = \["adam", "sgd"\]'):
        prepare(pipeline.StageConfig.model_validate({"task": task}))


def test_optimizers_of_the_config_stand_in_place_of_the_model_s_choice(config):
    known = prepare(config("chooses", **{"range_test.optimizers": ["adam", "sgd"]})).known_by
    assert known.own == ()
    (note,) = known.notes
    assert note.startswith("hyperparameter 'optimizer' of the model is not searched")
    assert note.endswith('"optimizers = [..]" under [range_test] says which are searched')


def test_a_name_of_ours_that_changes_the_model_is_refused_with_what_to_write(config):
    with pytest.raises(TaskError, match=r"got 'batch_size', which changes the model.* give .batch_sizes = \[\.\.\]"):
        prepare(config("needs_batch_size"))


@pytest.mark.parametrize("engine", ["optuna", pytest.param("keras_tuner", marks=pytest.mark.long)])
@pytest.mark.long
def test_a_trial_that_fails_says_why_on_its_line_and_nothing_else_is_written(engine, config, tmp_path):
    settings = config("brittle", **{"study.engine": engine, "range_test.optimizers": ["sgd"], "study.num_trials": 6})
    program = f"""
        import sys
        import pipeline
        from pipeline.console.display import PlainLines
        sys.path.insert(0, {str(tmp_path)!r})
        settings = {settings.model_dump()!r}
        config = pipeline.StageConfig.model_validate(settings)
        pipeline.run_stage(config, out={str(tmp_path / "out")!r}, state={str(tmp_path / "state")!r},
                           on_event=PlainLines(sys.stderr))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
    failed = [line for line in ended.stderr.splitlines() if re.search(r"trial \d+ failed", line)]

    assert ended.returncode == 0, ended.stderr
    assert failed
    assert all("failed (ValueError: four units are too many.): no score" in line for line in failed)
    assert "Traceback" not in ended.stderr
    assert "rest of the story" not in ended.stderr
