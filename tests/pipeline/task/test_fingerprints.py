"""Shows what tells one task from another, and which change makes a range test or a study another one."""

import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

import pipeline
from lrrt import Loops
from pipeline.state.json_files import as_json
from pipeline.state.ownership import differences
from pipeline.task.fingerprints import (
    TaskPrint,
    callbacks_code_of,
    is_unchanged,
    print_of,
    range_test_fields,
    source_of,
    study_fields,
)
from studies import Dimension
from studies.space.model_hyperparameters import ModelSpace

X, Y = np.arange(600.0, dtype="float32").reshape(200, 3), np.arange(200) % 2
OWN = (
    Dimension("units", (8, 16), default=8),
    Dimension("rate", (), 0.1, 0.5, conditions=(("units", (16,)),)),
)


def config(**overrides):
    return pipeline.builtin_config({key.replace("__", "."): value for key, value in overrides.items()}, environ={})


def model(activation="relu", units=4, loss="sparse_categorical_crossentropy"):
    made = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(units, activation=activation), keras.layers.Dense(2, "softmax")]
    )
    made.compile("sgd", loss)
    return made


def printed(build_model=model, x=X, y=Y, own=()):
    data = x, y
    loops = Loops(build_model, data, optimizers=["sgd"], validation_data=data)
    return print_of(config(), loops, ModelSpace(own))


def test_a_task_that_is_loaded_again_is_the_same():
    assert printed() == printed()


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        (lambda: printed(lambda: model("tanh")), {"model.architecture"}),
        (lambda: printed(lambda: model(units=5)), {"model.architecture", "model.num_parameters"}),
        (lambda: printed(lambda: model(loss=keras.losses.SparseCategoricalCrossentropy())), {"model.loss"}),
        (lambda: printed(x=X + 1), {"data.train.sample", "data.validation.sample"}),
        (
            lambda: printed(x=X[:-1], y=Y[:-1]),
            {f"data.{p}.{k}" for p in ("train", "validation") for k in ("arrays", "sample")},
        ),
        (lambda: printed(own=OWN), {"own"}),
    ],
)
def test_what_differs_between_two_tasks_is_named(changed, keys):
    told = differences(printed().fields, changed().fields)

    assert {line.split(":")[0].strip() for line in told} == keys


def test_what_is_kept_of_a_task_is_read_back(tmp_path):
    import json

    kept = printed(own=OWN)

    assert TaskPrint.from_dict(json.loads(as_json(kept.as_dict()))) == kept


def test_a_layer_that_cannot_tell_its_settings_is_told_by_its_class():
    class Secret(keras.layers.Layer):
        def call(self, inputs):
            return inputs

        def get_config(self):
            raise NotImplementedError

    class OtherSecret(Secret):
        pass

    def with_layer(kind):
        made = keras.Sequential([keras.layers.Input((3,)), kind(), keras.layers.Dense(2, "softmax")])
        made.compile("sgd", "sparse_categorical_crossentropy")
        return made

    first, same, other = (printed(lambda kind=kind: with_layer(kind)).model for kind in (Secret, Secret, OtherSecret))

    assert first == same
    assert first["architecture"] != other["architecture"]


@pytest.mark.parametrize(
    ("change", "of_range_test", "of_study"),
    [
        ({"study__epochs": 7}, False, True),
        ({"study__schedules": ["fixed"]}, False, True),
        ({"study__batch_sizes": [32, 64]}, False, True),
        ({"study__batch_sizes": [64]}, True, True),
        ({"study__batch_sizes": [32, 64], "range_test__per_batch_size": True}, True, True),
        ({"study__seed": 1}, True, True),
        ({"range_test__repeats": 2}, True, True),
        ({"range_test__confirm_steps": 40}, True, True),
        ({"study__num_trials": 99}, False, False),
        ({"study__storage": "sqlite:///other.db"}, False, False),
        ({"study__top_retrained": 0}, False, False),
        ({"study__widen": True}, False, False),
        ({"study__patience": 0}, False, True),
        ({"study__jit": True}, False, True),
        ({"cluster__partition": "gpu"}, False, False),
    ],
)
def test_a_key_belongs_to_what_depends_on_it(change, of_range_test, of_study):
    task = printed()
    before, after = config(), config(**change)

    assert bool(differences(range_test_fields(before, task), range_test_fields(after, task))) == of_range_test
    assert bool(differences(study_fields(before, task, None), study_fields(after, task, None))) == of_study


def test_the_default_jit_leaves_a_study_the_same_as_before_there_was_one():
    assert "jit" not in study_fields(config(), printed(), None)["study"]


def test_epochs_belong_to_bounds_that_short_trainings_confirm():
    """Their rates depend on the length of the training to come; curves do not, and are judged again."""
    short, long = (range_test_fields(config(study__epochs=n, range_test__confirm_steps=40), printed()) for n in (5, 7))

    assert short != long


def test_a_source_that_changes_asks_for_another_look(tmp_path, monkeypatch):
    (tmp_path / "looked_at.py").write_text("a = 1")
    monkeypatch.syspath_prepend(tmp_path)
    settings = config(task__build_model="looked_at:a", task__load_data="looked_at:a")
    seen = TaskPrint({}, {}, (), source_of(settings))
    assert is_unchanged(settings, seen)

    (tmp_path / "looked_at.py").write_text("a = 2")
    assert not is_unchanged(settings, seen)
    assert not is_unchanged(config(task__build_model="nowhere:a"), TaskPrint({}, {}, (), None))


TASK = """
import keras
from helpers.data import load
def build_model():
    from helpers.models.small import make
    return make()
def load_data():
    if keras:
        import far_helper
    return load()
"""
FILES = {
    "my_task.py": TASK,
    "my_callbacks.py": "import told_by_callbacks\ndef make(): ...",
    "told_by_callbacks.py": "a = 1",
    "far_helper.py": "from helpers import *\nimport beside, targeted.inner",
    "helpers/__init__.py": "a = 1",
    "helpers/data.py": "from . import _read\nload = _read.read",
    "helpers/_read.py": "read = None",
    "helpers/models/__init__.py": "",
    "helpers/models/small.py": "from ..deep import layers\nmake = layers.make",
    "helpers/deep/layers.py": "make = None",
    "unused.py": "a = 1",
    "lib/site-packages/installed.py": "a = 1",
    "target/beside.py": "a = 1",  # in a folder of `pip install --target`, but not from there
    "target/targeted/__init__.py": "a = 1",
    "target/targeted/inner.py": "a = 1",
    "target/targeted-1.0.dist-info/RECORD": "targeted/__init__.py,sha256=a,5\ntargeted/inner.py,sha256=a,5\n",
}


@pytest.fixture
def source_task(tmp_path, monkeypatch):
    for name, code in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "lib/site-packages")
    monkeypatch.syspath_prepend(tmp_path / "target")
    monkeypatch.syspath_prepend(tmp_path)
    return config(
        task__build_model="my_task:build_model",
        task__load_data="my_task:load_data",
        task__callbacks="my_callbacks:make",
    )


def test_a_change_of_any_module_of_the_user_that_the_task_imports_is_seen(source_task, tmp_path):
    def sees_change_of(name):
        seen = TaskPrint({}, {}, (), source_of(source_task))
        with (tmp_path / name).open("a") as file:
            file.write("\nb = 2\n")
        return not is_unchanged(source_task, seen)

    assert {name for name in FILES if sees_change_of(name)} == {*FILES} - {
        "unused.py",
        "lib/site-packages/installed.py",
        "target/targeted/__init__.py",
        "target/targeted/inner.py",
        "target/targeted-1.0.dist-info/RECORD",
    }


def test_modules_are_read_without_being_imported(source_task):
    assert source_of(source_task) is not None

    assert not {"my_task", "helpers", "helpers.models", "my_callbacks"} & set(sys.modules)


def test_a_change_of_code_that_callbacks_run_makes_it_another_study_and_a_comment_does_not(source_task, tmp_path):
    def fields():
        task = replace(printed(), callbacks_code=callbacks_code_of(source_task))
        return study_fields(source_task, task, None), range_test_fields(source_task, task)

    before = fields()
    (tmp_path / "told_by_callbacks.py").write_text("a = 1  # as ever")
    assert fields() == before

    (tmp_path / "told_by_callbacks.py").write_text("a = 2")
    (line,) = differences(before[0], fields()[0])
    assert line.strip().startswith("callbacks_code: was")
    assert fields()[1] == before[1]


def test_a_task_without_readable_source_is_always_loaded(source_task, tmp_path):
    (tmp_path / "helpers/_read.py").write_text("no python (")

    assert source_of(source_task) is None
    assert not is_unchanged(source_task, TaskPrint({}, {}, (), None))
