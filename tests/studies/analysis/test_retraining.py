"""What is true of the best trials trained again, with other seeds and on other folds."""

import keras
import numpy as np
import pytest

from lrrt import Loops
from pipeline.digits_example import build_model
from studies import Repeated, Trainer, TrialConfig, TrialResult, TrialState, cross_validate, make_folds, retrain


def config(lr):
    return TrialConfig("adam", "fixed", lr, 32)


def result(number, score, lr, state=TrialState.COMPLETED):
    return TrialResult(number, config(lr), state, (score,), (score,))


def test_the_best_few_are_trained_with_every_seed_and_the_best_mean_comes_first(trainer):
    study = [result(0, 0.1, 1e-4), result(1, 0.2, 5e-3), result(2, 0.0, 1e-2, TrialState.PRUNED), result(3, 9.0, 1e-2)]
    seen = []
    found = retrain(trainer, study, top=2, seeds=(1, 2), on_trained=seen.append)

    assert [one.config.lr for one in found] == [5e-3, 1e-4]  # the study's order was luck
    assert len(seen) == 4
    assert found[0].mean_score == pytest.approx(np.mean(found[0].scores))
    assert found[0].spread == pytest.approx(np.std(found[0].scores, ddof=1))
    assert found[0].results[0].val_losses == trainer.with_seed(1).train(config(5e-3)).result.val_losses


def test_a_config_that_was_tried_twice_is_trained_once(trainer):
    assert len(retrain(trainer, [result(0, 0.1, 1e-3), result(1, 0.1, 1e-3)], top=2, seeds=(1,))) == 1


def test_a_config_that_diverged_once_has_no_mean_and_comes_last():
    ended = TrialResult(0, config(1e-3), TrialState.COMPLETED, (1.0,), (1.0,))
    diverged = TrialResult(1, config(1e-3), TrialState.DIVERGED, (1.0,), (0.1,))
    assert Repeated(config(1e-3), (ended, diverged)).mean_score is None


@pytest.mark.parametrize("arguments", [{"top": 0}, {"seeds": ()}])
def test_training_nothing_again_is_refused(arguments, trainer):
    with pytest.raises(ValueError, match="`top` must be >= 1 and `seeds` hold one at least"):
        retrain(trainer, [], **arguments)


def test_each_fold_keeps_its_own_result(digits):
    x, y = digits["train"]
    folds = list(make_folds(len(x), num_folds=2, labels=y))

    def make_loops(train, validation):
        return Loops(
            build_model, (x[train], y[train]), optimizers=["adam"], validation_data=(x[validation], y[validation])
        )

    found = cross_validate(make_loops, folds, [config(1e-5), config(5e-3)], epochs=2)

    assert [one.config.lr for one in found] == [5e-3, 1e-5]
    assert [len(one.results) for one in found] == [2, 2]
    alone = Trainer(make_loops(*folds[1]), epochs=2).train(config(5e-3)).result
    assert found[0].results[1].val_losses == pytest.approx(alone.val_losses)


def linear_model():
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class Folds:
    """Gives loops of the folds of the digits, the same at every call; remembers the folds that were asked for."""

    def __init__(self, digits):
        x, y = digits["train"]
        self.folds = list(make_folds(len(x), num_folds=4, labels=y))
        self.asked = []
        self._loops = [
            Loops(linear_model, (x[train], y[train]), optimizers=["adam"], validation_data=(x[held], y[held]))
            for train, held in self.folds
        ]

    def __call__(self, train, held):
        (number,) = (number for number, fold in enumerate(self.folds) if fold[1] is held)
        self.asked.append(number)
        return self._loops[number]

    def validate(self, *rates, **options):
        self.asked.clear()
        return cross_validate(self, self.folds, [config(lr) for lr in rates], epochs=1, **options)


@pytest.fixture(scope="module")
def folds(digits):
    return Folds(digits)


def test_a_config_that_is_clearly_worse_on_its_first_folds_is_left(folds):
    best, bad = folds.validate(5e-3, 1e-5, prunes=True)

    assert (best.config.lr, len(best.results), best.is_pruned) == (5e-3, 4, False)
    assert (bad.config.lr, len(bad.results), bad.is_pruned, bad.mean_score) == (1e-5, 2, True, None)
    assert bad.as_dict()["num_planned"] == 4
    assert len(bad.scores) == 2


def test_a_config_that_is_about_as_good_is_trained_on_every_fold(folds):
    assert [len(found.results) for found in folds.validate(5e-3, 5.1e-3, prunes=True)] == [4, 4]


def test_what_a_killed_process_had_trained_is_not_trained_again(folds):
    told, again = [], []
    whole = folds.validate(5e-3, 1e-5, on_trained=told.append)
    results = [trained.result for trained in told]
    assert folds.validate(5e-3, 1e-5, known=results, on_trained=again.append) == whole
    assert (folds.asked, again) == ([], [])

    continued = folds.validate(5e-3, 1e-5, known=results[:5], on_trained=again.append)
    assert [(trained.result.config.lr, trained.result.number) for trained in again] == [(1e-5, 2), (5e-3, 3), (1e-5, 3)]
    assert [found.scores for found in continued] == [found.scores for found in whole]


def test_a_training_that_raises_leaves_its_config_without_a_mean(folds):
    sgd = TrialConfig("sgd", "fixed", 0.1, 32)
    found = cross_validate(folds, folds.folds[:2], [sgd, config(5e-3)], epochs=1)

    assert [one.config.optimizer_name for one in found] == ["adam", "sgd"]
    assert (found[1].mean_score, found[1].is_pruned) == (None, False)
    assert {result.error for result in found[1].results} == {
        "ValueError: A trial's optimizer must be one of adam, got 'sgd'."
    }


def test_retraining_goes_on_where_a_killed_process_was(trainer):
    study, told, again = [result(0, 0.1, 5e-3)], [], []
    whole = retrain(trainer, study, seeds=(1, 2), on_trained=told.append)
    kept = [told[0].result]

    (found,) = retrain(trainer, study, seeds=(1, 2), known=kept, on_trained=again.append)
    assert [trained.result.number for trained in again] == [1]
    assert found.scores == whole[0].scores


def test_folds_validate_on_each_sample_once_and_keep_the_shares_of_classes():
    labels = np.repeat([0, 1], [80, 20])
    folds = list(make_folds(100, num_folds=5, labels=labels, seed=3))

    assert sorted(np.concatenate([validation for _, validation in folds])) == list(range(100))
    assert {int(labels[validation].sum()) for _, validation in folds} == {4}
    assert all(not set(train) & set(validation) for train, validation in folds)


def test_the_same_seed_makes_the_same_folds():
    first, again, other = (next(make_folds(50, seed=seed))[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_folds": 1}, "`2 <= num_folds <= num_samples` must hold, got 1 folds of 10"),
        ({"num_folds": 11}, "got 11 folds of 10"),
        ({"num_folds": 3, "labels": [0] * 8 + [1] * 2}, "a sample in each of 3 folds, got 2 of class 1"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        list(make_folds(10, **arguments))
