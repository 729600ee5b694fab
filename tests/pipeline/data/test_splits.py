"""Shows which rows judge a training: by class, by group, in order of time; and that a split that leaks is told."""

import numpy as np
import pytest

import pipeline
from pipeline.data.folds import Folds
from pipeline.data.labels import class_numbers
from pipeline.data.order import looks_ordered
from pipeline.failures import TaskError
from pipeline.task.loading import load_task
from pipeline.task.preparation import prepare
from pipeline.task.trainers import make_cache, make_scorer, make_trainer
from studies import TrialConfig

TASKS = """
import keras, numpy as np
rng = np.random.default_rng(0)
NUMBER = np.repeat(np.arange(40), 10)
CENTRES = rng.normal(size=(40, 16))
NEAR = CENTRES[NUMBER] + 0.01 * rng.normal(size=(400, 16))
CLASS = rng.permutation(np.arange(40) % 2)[NUMBER]  # of a group, and without any relation to its rows
X = rng.normal(size=(500, 4))
Y = X.sum(axis=1) * np.where(np.arange(500) < 400, 1, -1)  # the last fifth is another world

def leaking():
    return {"train": (NEAR, CLASS), "groups": [f"patient {number}" for number in NUMBER]}

def without_groups():
    return {"train": (NEAR, CLASS)}

def changing():
    return {"train": (X, Y)}

def rare():
    return {"train": (X[:100], np.arange(100) % 50 == 0)}

def one_row():
    return {"train": (X[:100], np.arange(100) == 7)}

def with_own():
    return {"train": (X[:300], Y[:300]), "validation": (X[300:400], Y[300:400]), "groups": np.arange(300) // 100}

def wrong_groups():
    return {"train": (X, Y), "groups": np.arange(499)}

def one_group():
    return {"train": (X, Y), "groups": np.zeros(500)}

def two_worlds():
    return {"train": (np.zeros((200, 4)), np.repeat([1.0, 3.0], 100)), "groups": np.repeat([0, 1], 100)}

def classifier():
    model = keras.Sequential([keras.layers.Input((16,)), keras.layers.Dense(64, "relu"),
                              keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return model

def linear():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
"""


@pytest.fixture
def config(write_module):
    write_module("split_tasks", TASKS)

    def config(model, data, split="auto", **study):
        own = {
            "task.build_model": f"split_tasks:{model}",
            "task.load_data": f"split_tasks:{data}",
            "task.split": split,
            "range_test.optimizers": ["adam", "sgd"],
            "study.schedules": ["fixed"],
        }
        return pipeline.builtin_config({**own, **{f"study.{key}": value for key, value in study.items()}}, environ={})

    return config


def trained(config, task, cache, lr):
    trainer = make_trainer(config, cache, task, on_note=print)
    ended = trainer.train(TrialConfig("adam", "fixed", lr, 32))
    return ended.result, trainer.as_trained(ended.result, ended.best_weights)


def accuracy(config):
    prepared = prepare(config)
    _, model = trained(config, prepared.task, prepared.cache, 0.01)
    return model.evaluate(*prepared.task.validation, verbose=0, return_dict=True)["accuracy"], prepared


def test_a_split_by_group_shows_that_a_model_knows_groups_by_heart_and_a_random_one_hides_it(config):
    shuffled, drawn = accuracy(config("classifier", "leaking", "random", epochs=30))
    grouped, whole = accuracy(config("classifier", "leaking", epochs=30, validation_fraction=0.5))

    assert shuffled > 0.98
    assert 0.25 < grouped < 0.75
    assert (drawn.data_use.split, whole.data_use.split) == ("random", "group")
    assert "rows of one group are trained on and judged by" in drawn.data_use.notes[1]
    assert whole.data_use.notes == (
        "the task brings no validation data: 50% of the groups is held out for it, in whole groups",
    )


def test_no_group_stands_on_both_sides_of_a_fold(config):
    made = config("classifier", "leaking", folds=5)
    task = prepare(made).task
    numbers = np.repeat(np.arange(40), 10)

    judged = []
    for train, validation in Folds(made, task, 5).rows:
        assert not set(numbers[train]) & set(numbers[validation])
        judged += validation.tolist()
    assert sorted(judged) == list(range(400))


def test_the_last_rows_judge_a_time_series_and_its_loss_is_the_one_of_the_other_world(config):
    """At the best weights of the first rows, the loss of the flipped ones is (2 y)^2; of a mixture less than 1."""
    losses = {}
    for split in ("time", "random"):
        made = config("linear", "changing", split, epochs=20, patience=0)
        prepared = prepare(made)
        result, _ = trained(made, prepared.task, prepared.cache, 0.05)
        losses[split] = result.val_losses[-1] / np.mean(prepared.task.validation[1] ** 2)

    assert losses["time"] == pytest.approx(4.0, rel=0.05)
    assert losses["random"] < 1.0


def test_folds_of_time_train_only_on_what_came_before(config):
    made = config("linear", "changing", "time", folds=4)
    prepared = prepare(made)
    folds = Folds(made, prepared.task, 4)

    assert [(train.max() + 1, validation.min()) for train, validation in folds.rows] == [
        (100, 100), (200, 200), (300, 300), (400, 400)
    ]  # fmt: skip
    np.testing.assert_allclose(folds[3].validation[1], prepared.task.validation[1], rtol=1e-6)
    last, other = (trained(made, folds[n], make_cache(made, folds[n]), 0.05)[0] for n in (3, 2))
    assert last.score > 10 * other.score
    assert "each trains only on the rows before those that judge it" in prepared.data_use.notes[1]


def test_a_rare_class_is_on_both_sides_unless_a_random_split_is_asked_for(config):
    """Two of a hundred rows are of the class; a draw of twenty leaves them on one side more often than not."""
    for seed in range(3):
        task = prepare(config("linear", "rare", seed=seed)).task
        assert (task.train[1].sum(), task.validation[1].sum()) == (1, 1)
    assert prepare(config("linear", "rare", "random")).task.held_out.kind == "random"


def test_folds_leave_a_tasks_own_validation_data_alone_unless_they_are_told_to_mix_it(config):
    alone, mixed = (config("linear", "with_own", "random", folds=3, mixes_validation=mixes) for mixes in (False, True))

    assert [len(Folds(made, prepare(made).task, 3)[0].train[0]) for made in (alone, mixed)] == [200, 266]
    told = prepare(alone).data_use.notes
    assert told[0] == (
        "folds are cut from the training data alone, without the task's own validation data, drawn at random"
    )
    assert told[1].startswith("SCORES MAY BE TOO GOOD: folds are drawn at random, so that rows of one group")
    assert "from training and validation data together" in prepare(mixed).data_use.notes[0]


@pytest.mark.parametrize(
    ("model", "data", "split", "study", "message"),
    [
        ("linear", "wrong_groups", "auto", {}, r"one value for each of the 500 rows .* got the shape \(499,\)"),
        ("linear", "one_group", "group", {}, "must have two groups, one on each side, got one"),
        ("linear", "changing", "group", {}, 'must have "groups", one value for each row of "train".* got none'),
        ("linear", "changing", "stratified", {}, "must have labels that are one class a row"),
        ("linear", "one_row", "auto", {}, 'got one of class 1. Add or drop .* set .task. split = "random"'),
        ("linear", "with_own", "auto", {"folds": 4}, "a group of its own, got 3 groups for 4 folds"),
        ("linear", "rare", "auto", {"folds": 5}, "a sample in each of 5 folds, got 2 of class 1"),
        ("linear", "with_own", "auto", {"folds": 2, "mixes_validation": True}, "each of the 400 rows"),
    ],
)
def test_data_that_cannot_be_split_as_asked_is_refused_with_the_remedy(config, model, data, split, study, message):
    with pytest.raises(TaskError, match=message):
        prepare(config(model, data, split, **study))


def test_rows_in_an_order_that_means_something_are_told_and_shuffled_or_sorted_ones_are_not(config):
    prepared = prepare(config("classifier", "without_groups", epochs=1))
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(300, 2)), axis=0)
    classes = np.repeat(np.arange(3), 100)

    assert prepared.data_use.notes[1].startswith("SCORES MAY BE TOO GOOD: validation data is drawn at random, but")
    assert looks_ordered((walk, walk[:, 0]), None)
    assert not looks_ordered((rng.permutation(walk), rng.normal(size=300)), None)
    assert not looks_ordered((rng.normal(size=(300, 2)) + 5 * classes[:, None], classes), classes)


@pytest.mark.parametrize(
    ("labels", "are_classes"),
    [
        ([0, 1, 2, 1, 1, 2], True),
        ([0.0, 1.0, 1.0, 1.0], True),
        ([-1, 1, 1, 1], True),
        ([[0], [1], [1], [0]], True),
        ([[0, 1], [1, 0]], True),
        ([True, False, True, True], True),
        ([0, 1, 2, 3, 4, 4], False),  # values that hardly repeat
        ([1998, 1999, 2003], False),  # years
        ([0.5, 1.0], False),
        ([[1, 1], [1, 0]], False),  # several labels a row
        ([[0.2, 0.8], [1.0, 0.0]], False),
    ],
)
def test_classes_are_told_from_values(labels, are_classes):
    labels = np.array(labels)

    assert (class_numbers((labels, labels)) is not None) == are_classes


def test_a_task_without_validation_data_is_split_in_the_order_of_its_rows(config):
    config("linear", "changing")
    task = load_task("split_tasks:linear", "split_tasks:changing", split="random")

    assert all((np.diff(rows) > 0).all() for rows in task.held_out.rows)


def test_a_trial_is_scored_by_its_mean_over_folds_that_keep_groups_whole(config):
    """A constant learnt from the group of 1 costs (3 - 1)^2 on the group of 3, and the other way round."""
    scores = {}
    for split in ("group", "random"):
        made = config("linear", "two_worlds", split, epochs=8, patience=0, score_folds=2)
        prepared = prepare(made)
        trainer = make_trainer(made, prepared.cache, prepared.task, on_note=print)
        scorer = make_scorer(made, prepared.task, trainer, on_note=print)
        result = scorer.train(TrialConfig("sgd", "fixed", 0.2, 32)).result
        scores[split] = result.val_losses[-1]
        assert result.score == pytest.approx(np.mean(result.fold_scores))
        assert len(result.fold_scores) == 2

    assert scores["group"] == pytest.approx(4.0, rel=0.1)
    assert scores["random"] == pytest.approx(1.0, rel=0.3)
    assert prepared.data_use.notes[-2].startswith("each trial's score is the mean over 2 folds")
