"""What a study looks for is what the objective says, in every place that compares trials or epochs."""

import doctest
import json
import math

import keras
import keras_tuner
import numpy as np
import pytest

from lrrt import Loops
from studies import (
    ForeignStudy,
    KerasTunerStudy,
    Objective,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    Trainer,
    TrialConfig,
    TrialResult,
    TrialState,
    best_of,
    objective,
    ranked,
)
from studies.judging.pruning import has_stopped_improving, is_worse_than_its_peers
from tests.studies import imbalanced
from tests.studies.bowl import Bowl

GAIN = Objective("val_gain", "max")
SGD = SearchSpace((OptimizerRange("sgd", 1e-2, 0.2),), ("fixed",))
CONFIG = TrialConfig("sgd", "fixed", 0.1, 32)
CONFIG_OF = {kind: TrialConfig("sgd", "fixed", 1e-6, 64, own=(("kind", kind),)) for kind in ("calibrated", "ranking")}


@pytest.fixture(scope="module")
def loops():
    return imbalanced.make_loops()


def opened(engine, space, folder, **options):
    if engine == "optuna":
        return OptunaStudy(space, storage=f"sqlite:///{folder}/study.db", **options)
    return KerasTunerStudy(space, directory=folder, sampler="tpe", **options)


def result(number, values, state=TrialState.COMPLETED, objective=GAIN):
    losses = tuple(1.0 / epoch for epoch in range(1, len(values) + 1))
    metrics = {objective.name: tuple(values)}
    return TrialResult(number, CONFIG, state, losses, losses, planned_epochs=20, objective=objective, metrics=metrics)


def test_doctests_hold():
    assert doctest.testmod(objective).failed == 0


@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
@pytest.mark.long
def test_the_best_ranking_wins_by_auc_and_the_lowest_loss_by_loss(engine, loops, tmp_path):
    winners = {}
    for name in ("val_loss", "val_auc"):
        trainer = Trainer(loops, epochs=2, objective=name)
        (tmp_path / name).mkdir()
        study = opened(engine, imbalanced.SPACE, tmp_path / name, objective=name, seed=1)
        results = study.run(trainer, num_trials=6)
        assert {dict(one.config.own)["kind"] for one in results} == {"calibrated", "ranking"}
        assert study.study.direction.name == ("MINIMIZE" if name == "val_loss" else "MAXIMIZE")
        assert study.study.best_value == best_of(results).score
        winners[name] = best_of(results)

    assert dict(winners["val_loss"].config.own)["kind"] == "calibrated"
    assert dict(winners["val_auc"].config.own)["kind"] == "ranking"
    assert winners["val_auc"].score == pytest.approx(1.0, abs=1e-3)
    assert winners["val_auc"].val_losses[0] > 1.5 * winners["val_loss"].score


def test_every_metric_of_every_epoch_is_kept_under_the_names_that_fit_shows(loops):
    trained = Trainer(loops, epochs=3, objective="val_auc").train(CONFIG_OF["ranking"])
    kept = json.loads(json.dumps(trained.result.as_dict()))

    names = {"auc", "accuracy", "own_metric"}  # f1_score is one number for each class
    assert set(kept["metrics"]) == names | {f"val_{name}" for name in names}
    assert {len(values) for values in kept["metrics"].values()} == {3}
    assert kept["score"] == kept["metrics"]["val_auc"][kept["best_epoch"] - 1]
    assert TrialResult.from_dict(kept) == trained.result
    model = Trainer(loops, epochs=3).as_trained(trained.result, trained.best_weights)
    shown = model.evaluate(*imbalanced.load_data()["validation"], verbose=0, return_dict=True)
    for name in names:
        assert shown[name] == pytest.approx(kept["metrics"][f"val_{name}"][kept["best_epoch"] - 1], abs=1e-4), name


@pytest.mark.parametrize(
    ("name", "direction", "message"),
    [
        (
            "val_acu",
            "auto",
            r"got 'val_acu'; it shows accuracy, auc, loss, own_metric, val_accuracy, val_auc, val_loss",
        ),
        ("val_f1_score", "auto", "as one number, got 'val_f1_score'"),
        ("val_own_metric", "auto", 'Say direction = "min" or direction = "max"'),
        ("val_auc", "up", '`direction` must be "auto", "min" or "max", got \'up\''),
    ],
)
def test_an_objective_that_cannot_be_used_is_refused_before_anything_trains(name, direction, message, loops):
    with pytest.raises(ValueError, match=message):
        Trainer(loops, epochs=2, objective=name, direction=direction)


def test_a_metric_whose_direction_is_given_is_an_objective(loops):
    trained = Trainer(loops, epochs=2, objective="val_own_metric", direction="min").train(CONFIG_OF["calibrated"])
    assert trained.result.score == pytest.approx(imbalanced.SHARE, rel=0.01)


def test_the_weights_kept_are_those_of_the_epoch_with_the_best_score():
    values = [0.5, 0.9, math.nan, 0.9, 0.7]
    assert (result(0, values).best_epoch, result(0, values).score, result(0, values).cost) == (2, 0.9, -0.9)
    assert result(0, [math.nan]).score is None


def test_trials_are_ranked_by_their_objective():
    trials = [result(number, [value]) for number, value in enumerate((0.3, 0.9, 0.5))]
    by_loss = [TrialResult(n, CONFIG, TrialState.COMPLETED, (1.0,), (v,)) for n, v in enumerate((0.3, 0.9, 0.5))]
    different = [TrialConfig("sgd", "fixed", 0.1 + number, 32) for number in range(3)]
    trials = [TrialResult(**{**_fields(one), "config": config}) for one, config in zip(trials, different, strict=True)]
    by_loss = [
        TrialResult(**{**_fields(one), "config": config}) for one, config in zip(by_loss, different, strict=True)
    ]

    assert [one.number for one in ranked(trials)] == [1, 2, 0]
    assert [one.number for one in ranked(by_loss)] == [0, 2, 1]


def _fields(one):
    return {name: getattr(one, name) for name in TrialResult.__dataclass_fields__}


def test_patience_waits_for_the_objective():
    """A loss that falls for ever does not keep a trial whose metric has stopped improving."""
    gains = [0.5, 0.9, *[0.6] * 16]
    ended = [
        epoch
        for epoch in range(1, 19)
        if has_stopped_improving(CONFIG, result(0, gains[:epoch]).costs, epochs=20, patience=0.2)
    ]
    assert ended[0] == 14


def test_pruning_compares_the_objective():
    peers = [result(number, [0.5 + 0.01 * epoch for epoch in range(20)]) for number in range(4)]
    assert is_worse_than_its_peers(result(9, [0.4 + 0.01 * epoch for epoch in range(10)]), peers)
    assert not is_worse_than_its_peers(result(9, [0.6 + 0.01 * epoch for epoch in range(10)]), peers)


@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_a_sampler_goes_where_the_objective_is_best(engine, tmp_path):
    """The loss is lowest at a rate of .25; the gain is best at the lowest rate."""
    trainer = Bowl(objective=GAIN, metric=lambda config, epoch: -math.log10(config.lr))
    results = opened(engine, SGD, tmp_path, objective=GAIN).run(trainer, num_trials=20)
    late = [one.config.lr for one in results[12:]]

    assert np.median(late) < 0.03
    assert best_of(results).config.lr == min(one.config.lr for one in results)


def test_keras_tuner_opens_a_study_with_its_objective(tmp_path):
    trainer = Bowl(objective=GAIN, metric=lambda config, epoch: 1 - config.lr)
    study = KerasTunerStudy(SGD, directory=tmp_path, objective=GAIN)
    best = best_of(study.run(trainer, num_trials=4))
    trials = [json.loads(path.read_text()) for path in (tmp_path / "lrrt").glob("trial_*/trial.json")]

    assert max(trial["score"] for trial in trials) == best.score
    assert all(trial["metrics"]["metrics"]["val_gain"]["direction"] == "max" for trial in trials)


@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_a_stored_study_is_of_its_objective(engine, tmp_path):
    trainer = Bowl(objective=GAIN, metric=lambda config, epoch: 1.0)
    opened(engine, SGD, tmp_path, objective=GAIN).run(trainer, num_trials=2)

    assert opened(engine, SGD, tmp_path).objective == GAIN
    with pytest.raises(ForeignStudy, match="must be of this objective"):
        opened(engine, SGD, tmp_path, objective="val_loss")
    with pytest.raises(ValueError, match="must have the same objectives"):
        opened(engine, SGD, tmp_path).run(Bowl(), num_trials=3)


def test_a_metric_that_is_never_finite_fails_its_trial():
    def never(y_true, y_pred):
        return keras.ops.mean(y_pred, axis=-1) * math.nan

    def build():
        model = imbalanced.build_model(keras_tuner.HyperParameters())
        model.compile("sgd", "binary_crossentropy", metrics=[never])
        return model

    data = imbalanced.load_data()
    loops = Loops(build, data["train"], optimizers=["sgd"], batch_size=64, validation_data=data["validation"])
    config = TrialConfig("sgd", "fixed", 1e-6, 64)
    ended = Trainer(loops, epochs=2, objective="val_never", direction="max").train(config).result

    assert ended.state is TrialState.FAILED
    assert ended.error == "The objective val_never must be finite in one epoch at least, but it is not in any of 2."
