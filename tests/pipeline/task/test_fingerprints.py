"""Shows what tells one task from another, and which change makes a range test or a study another one."""

import keras
import numpy as np
import pytest

import pipeline
from lrrt import Loops
from pipeline.state.json_files import as_json
from pipeline.state.ownership import differences
from pipeline.task.fingerprints import TaskPrint, is_unchanged, print_of, range_test_fields, source_of, study_fields
from studies import Dimension

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
    return print_of(config(), Loops(build_model, data, optimizers=["sgd"], validation_data=data), own)


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
        ({"cluster__partition": "gpu"}, False, False),
    ],
)
def test_a_key_belongs_to_what_depends_on_it(change, of_range_test, of_study):
    task = printed()
    before, after = config(), config(**change)

    assert bool(differences(range_test_fields(before, task), range_test_fields(after, task))) == of_range_test
    assert bool(differences(study_fields(before, task, None), study_fields(after, task, None))) == of_study


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
