"""Shows what class weights and sample weights do to range tests, trials and folds; the true answers are known."""

import math

import numpy as np
import pytest

import pipeline
from lrrt import Ramp, run_range_test
from pipeline.data.folds import Folds
from pipeline.failures import TaskError
from pipeline.task.preparation import prepare
from pipeline.task.trainers import make_cache, make_trainer
from studies import TrialConfig

TASKS = """
import keras, numpy as np
CLASS = np.arange(100) % 10 == 0
NOTHING = np.zeros((100, 1))
VALUE = np.repeat([1.0, 3.0], 50)

def rare():
    return {"train": (NOTHING, CLASS), "validation": (NOTHING, CLASS)}

def one_hot():
    return {"train": (NOTHING, np.eye(2)[CLASS.astype(int)])}

def values():
    return {"train": (NOTHING, VALUE / 2)}

def in_batches():
    from tensorflow.data import Dataset
    return {name: Dataset.from_tensor_slices((NOTHING, CLASS[:, None])).batch(10) for name in ("train", "validation")}

def weighted():
    weights = np.repeat([0.0, 2.0], 50)  # only the second half counts
    return {"train": (NOTHING, VALUE), "validation": (NOTHING, VALUE, weights)}

def held():
    return {"train": (NOTHING, VALUE, np.where(VALUE == 1, 0.0, 2.0))}

def bias():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model

def two():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    return model

def constant():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
"""


@pytest.fixture
def config(write_module):
    write_module("weight_tasks", TASKS)

    def config(model, data, class_weight=None, **study):
        own = {
            "task.build_model": f"weight_tasks:{model}",
            "task.load_data": f"weight_tasks:{data}",
            "task.class_weight": class_weight,
            "task.split": "random",
            "range_test.optimizers": ["sgd"],
            "study.schedules": ["fixed"],
            "study.epochs": 40,
            "study.batch_sizes": [50],
            "study.patience": 0,
        }
        return pipeline.builtin_config({**own, **{f"study.{key}": value for key, value in study.items()}}, environ={})

    return config


def probability(config, task, cache, *, lr=1.0):
    """Return what the model says of a row at the end, which cannot see anything but how frequent a class is."""
    trainer = make_trainer(config, cache, task, on_note=print)
    ended = trainer.train(TrialConfig("sgd", "fixed", lr, 50))
    model = trainer.as_trained(ended.result, cache.loops.get("sgd", 50).snapshot())
    return float(model.predict(np.zeros((1, 1)), verbose=0)[0, -1]), ended.result


@pytest.mark.parametrize(("class_weight", "answer"), [(None, 0.1), ("balanced", 0.5), ({0: 1.0, 1: 3.0}, 0.25)])
def test_class_weights_move_what_is_learnt_by_what_they_say(config, class_weight, answer):
    made = config("bias", "rare", class_weight)
    prepared = prepare(made)
    found, result = probability(made, prepared.task, prepared.cache)

    assert found == pytest.approx(answer, abs=0.01)
    unweighted = -0.1 * math.log(answer) - 0.9 * math.log(1 - answer)
    assert result.val_losses[-1] == pytest.approx(unweighted, rel=0.02)  # the validation loss is never weighted
    assert ("not, as in fit" in " ".join(prepared.data_use.notes)) == (class_weight is not None)


@pytest.mark.parametrize("jit", [True, False])
def test_trials_are_trained_under_xla_if_the_config_says_so(config, jit):
    made = config("bias", "rare", epochs=2, jit=jit)
    prepared = prepare(made)
    probability(made, prepared.task, prepared.cache)

    assert prepared.cache.loops.get("sgd", 50).uses_xla == jit


def test_range_tests_see_the_weighted_losses(config):
    first = {}
    for weight in (None, {0: 1.0, 1: 11.0}):
        prepared = prepare(config("bias", "rare", weight, batch_sizes=[100]))
        result = run_range_test(prepared.tested, Ramp(1e-7, 1e-6, 10), repeats=1, batch_sizes=[100])
        first[bool(weight)] = result.curves["sgd"][0].losses[0]

    assert first[False] == pytest.approx(math.log(2), rel=1e-4)
    assert first[True] == pytest.approx(2 * math.log(2), rel=1e-4)  # a mean weight of 0.9 * 1 + 0.1 * 11


def test_folds_are_weighted_by_their_own_rows(config):
    made = config("two", "one_hot", "balanced", folds=2, validation_fraction=0.5, batch_sizes=[25])
    task = Folds(made, prepare(made).task, 2)[0]
    found, _ = probability(made, task, make_cache(made, task))

    assert found == pytest.approx(0.5, abs=0.02)


def test_sample_weights_of_validation_data_count_whether_brought_or_held_out(config):
    """The model says 0, so a row of value v costs v^2; rows of weight 0 cost nothing."""
    for data in ("weighted", "held"):
        made = config("constant", data, epochs=1)
        prepared = prepare(made)
        trainer = make_trainer(made, prepared.cache, prepared.task, on_note=print)
        _, y, weight = prepared.task.validation
        score = trainer.train(TrialConfig("sgd", "fixed", 1e-9, 50)).result.score

        assert score == pytest.approx(float(np.mean(weight * y**2)), rel=1e-4)


@pytest.mark.parametrize(
    ("model", "data", "weight", "message"),
    [
        ("constant", "values", "balanced", "must come with labels in an array that are one class a row"),
        ("bias", "in_batches", "balanced", "must come with labels in an array"),
        ("bias", "rare", {0: 1.0}, r"must have a weight for each class of data, got none for"),
    ],
)
def test_class_weights_that_the_data_cannot_have_are_refused(config, model, data, weight, message):
    with pytest.raises(TaskError, match=message):
        prepare(config(model, data, weight))
