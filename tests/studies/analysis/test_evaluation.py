"""What is said of the best trial's model is true of real Keras models: its gap, its penalties, what it learnt."""

import keras
import numpy as np
import pytest

from lrrt import Loops
from lrrt.variables import assign_weights
from studies import (
    LoopCache,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    Trainer,
    TrialConfig,
    check_overfitting,
    evaluate_trained,
)
from studies.before_training.regularized import WITHOUT_PENALTIES
from studies.judging.ranking import excess_gap

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 6)).astype("float32")
Y = (X[:, 0] + 0.5 * RNG.normal(size=240) > 0).astype("int32")
CONFIG = TrialConfig("adam", "fixed", 0.02, 16)


def build_model(strength=0.0, dropout=0.5):
    penalty = keras.regularizers.L2(strength) if strength else None
    model = keras.Sequential(
        [L.Input((6,)), L.Dense(24, "relu", kernel_regularizer=penalty), L.Dropout(dropout), L.Dense(2, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def trained(build, labels, config=CONFIG, notes=None):
    cut = 180
    loops = Loops(
        build, (X[:cut], labels[:cut]), optimizers=["adam"], batch_size=16, validation_data=(X[cut:], labels[cut:])
    )
    trainer = Trainer(LoopCache(loops), epochs=6, on_note=(lambda text: None) if notes is None else notes.append)
    one = trainer.train(config)
    model = trainer.as_trained(one.result, one.best_weights)
    of_model = trainer.cache.loops_of(config)
    return one.result, model, evaluate_trained(of_model, model, one.result)


@pytest.fixture(scope="module")
def on_true_labels():
    return trained(build_model, Y)


def test_the_gap_is_that_of_losses_that_are_evaluated_alike(on_true_labels):
    """Dropout and weights that move make the training loss of an epoch larger than the model's own."""
    result, model, evaluation = on_true_labels
    report = evaluation.with_gap(check_overfitting(result.train_losses, result.val_losses))
    on_all = model.evaluate(X[:180], Y[:180], verbose=0)

    assert evaluation.train_loss == pytest.approx(on_all, rel=0.3)  # of 48 random samples
    assert report.generalisation_gap == result.score - evaluation.train_loss
    assert evaluation.train_loss < result.train_losses[result.best_epoch - 1]


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_study_with_a_largest_gap_judges_every_trial_by_evaluated_losses_and_trains_it_alike(run_eagerly):
    def build():
        model = build_model()
        model.run_eagerly = run_eagerly
        return model

    data = (X[:32], Y[:32]), (X[60:90], Y[60:90])
    loops = Loops(build, data[0], optimizers=["adam"], batch_size=16, validation_data=data[1])
    space = SearchSpace((OptimizerRange("adam", 1e-3, 1e-1),), batch_sizes=(16,))
    with_gap, without = (
        OptunaStudy(space, sampler="random", max_gap=max_gap).run(Trainer(loops, epochs=2, on_note=str), num_trials=2)
        for max_gap in (0.1, None)
    )
    model = loops.model
    last = Trainer(loops, epochs=2, on_note=str).train(with_gap[1].config)
    assign_weights(model, last.best_weights)

    assert [one.val_losses for one in with_gap] == [one.val_losses for one in without]
    assert [one.evaluated_train_loss for one in without] == [None, None]
    assert with_gap[1].evaluated_train_loss == pytest.approx(
        evaluate_trained(loops, model, last.result).train_loss, rel=1e-5
    )
    assert with_gap[1].generalisation_gap == with_gap[1].score - with_gap[1].evaluated_train_loss
    assert excess_gap(with_gap[1], -1.0) == with_gap[1].generalisation_gap + 1.0
    assert loops.num_traces == {("adam", 16): 0 if run_eagerly else 1}


def test_a_penalty_is_told_as_a_part_of_the_score():
    result, model, evaluation = trained(lambda: build_model(0.01), Y)
    penalty = float(sum(model.losses))

    assert evaluation.penalty == pytest.approx(penalty, rel=1e-5)
    assert evaluation.has_penalty
    assert result.score == pytest.approx(model.evaluate(X[180:], Y[180:], verbose=0), rel=1e-5)


def test_trials_whose_models_differ_are_scored_without_penalties():
    def build(hp):
        return build_model(hp.Float("strength", 0.001, 0.1), dropout=0.0)

    notes = []
    config = TrialConfig("adam", "fixed", 0.02, 16, own=(("strength", 0.05),))
    result, model, evaluation = trained(build, Y, config, notes)
    penalty = float(sum(model.losses))

    assert penalty > 0.01
    assert not evaluation.has_penalty
    assert result.score == pytest.approx(model.evaluate(X[180:], Y[180:], verbose=0) - penalty, rel=1e-4)
    assert notes == [WITHOUT_PENALTIES]


class AtBatches(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        """Send the trial through `model.fit`."""


@pytest.mark.parametrize("way", ["in the loop", "run_eagerly", "through fit"])
def test_penalties_of_activities_are_left_out_whichever_way_a_trial_is_trained(way):
    def build(hp):
        penalty = keras.regularizers.L1(hp.Float("strength", 0.001, 0.1))
        model = keras.Sequential(
            [L.Input((6,)), L.Dense(8, "relu", activity_regularizer=penalty), L.Dense(2, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=way == "run_eagerly")
        return model

    loops = Loops(build, (X[:60], Y[:60]), optimizers=["adam"], batch_size=16, validation_data=(X[60:90], Y[60:90]))
    callbacks = (lambda: [AtBatches()]) if way == "through fit" else None
    trainer = Trainer(loops, epochs=1, on_note=str, callbacks=callbacks)
    one = trainer.train(TrialConfig("adam", "fixed", 0.02, 16, own=(("strength", 0.05),)))
    plain = keras.Sequential([L.Input((6,)), L.Dense(8, "relu"), L.Dense(2, "softmax")])
    plain.compile("adam", "sparse_categorical_crossentropy")
    plain.set_weights(trainer.as_trained(one.result, one.best_weights).get_weights())

    assert one.result.score == pytest.approx(plain.evaluate(X[60:90], Y[60:90], verbose=0), rel=1e-4)
    assert one.result.train_losses[0] < 2.0  # with its penalty it is more


def test_a_search_on_random_labels_is_not_called_healthy(on_true_labels):
    chance, _, of_chance = trained(build_model, RNG.integers(0, 2, 240))
    result, _, evaluation = on_true_labels

    assert "better than always answering the shares of the classes, which has a loss of" in of_chance.warning(chance)
    assert evaluation.warning(result) == ""
