"""Shows what is done with the best trials: the winner trained on all data, the models of a few, any trial's model."""

import json
from dataclasses import replace

import jsonschema
import keras
import numpy as np
import pytest

import pipeline
from lrrt.words import score_text
from pipeline.console.events import Note
from pipeline.console.stopping import Stopper
from pipeline.failures import NoSuchTrial, NotFinished, TaskError, Terminated
from pipeline.results.exporting import export_trial
from pipeline.results.schemas import schema_of
from pipeline.stage import go_on
from pipeline.steps.given_bounds import bounds_by_hand
from pipeline.task.preparation import prepare
from tests.pipeline.bowl_task import bowl_run

pytestmark = pytest.mark.usefixtures("blank_pictures")

TASKS = """
import keras, numpy as np
X = np.zeros((100, 1))

def part(value):
    return X, np.full(100, value)

def apart():
    return {"train": part(1.0), "validation": part(3.0), "test": part(2.0)}

def passed():
    return {"train": part(3.0), "validation": part(1.0), "test": part(2.0)}

def in_batches():
    from tensorflow.data import Dataset
    return {name: Dataset.from_tensor_slices((x, y[:, None])).batch(50) for name, (x, y) in apart().items()}

def endless():
    return {**in_batches(), "train": in_batches()["train"].repeat()}

def generated():
    return {"train": apart()["train"], "validation": in_batches()["validation"]}

def other_parts():
    return {"train": part(1.0), "validation": (*part(3.0), np.ones(100))}

def constant():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model
"""


@pytest.fixture
def config(write_module):
    write_module("winner_tasks", TASKS)

    def config(data="apart", **study):
        own = {
            "task.build_model": "winner_tasks:constant",
            "task.load_data": f"winner_tasks:{data}",
            "range_test.optimizers": ["sgd"],
            "study.schedules": ["fixed"],
            "study.epochs": 8,
            "study.num_trials": 3,
            "study.batch_sizes": [50],
            "study.patience": 0,
            "study.top_retrained": 0,
            "study.sampler": "random",
        }
        return pipeline.builtin_config({**own, **{f"study.{key}": value for key, value in study.items()}}, environ={})

    return config


def run(config, folder, low=0.05, high=0.2, **options):
    where = {"out": folder / "out", "state": folder / "state"}
    report = pipeline.run_search(config, bounds=bounds_by_hand(config, {"sgd": (low, high)}), **where, **options)
    jsonschema.Draft202012Validator(schema_of("summary")).validate(json.loads(json.dumps(report.summary)))
    return report


def run_bowl(config, folder):
    given = bounds_by_hand(config, {"sgd": (0.05, 0.2)})
    return go_on(replace(bowl_run(config, folder), given=given, tests_ranges=False))


def answer(file):
    """Return what a model says, which cannot see its rows."""
    return float(keras.saving.load_model(file).predict(np.zeros((1, 1)), verbose=0)[0, 0])


@pytest.mark.parametrize(
    ("data", "engine"), [("apart", "optuna"), pytest.param("in_batches", "keras_tuner", marks=pytest.mark.long)]
)
def test_the_winner_is_trained_on_training_and_validation_data_and_judged_by_the_test_data(
    data, engine, config, tmp_path
):
    report = run(config(data, refit=True, engine=engine), tmp_path, low=0.1)
    best = report.summary["best"]

    assert answer(tmp_path / "out/best/model.keras") == pytest.approx(1.0, abs=0.05)  # the training data's
    assert answer(tmp_path / "out/best/refitted.keras") == pytest.approx(2.0, abs=0.4)  # the mean of all
    assert best["refitted"]["model_file"] == "best/refitted.keras"
    assert best["refitted"]["test"]["loss"] < 0.2 < best["test"]["loss"]
    assert "saved as best/refitted.keras" in (tmp_path / "out/report.html").read_text()


def test_a_refit_ends_after_the_best_epoch_with_the_rates_that_the_schedule_had_until_there(config, tmp_path):
    """On its way from 0 to 3 the model passes the 1 of the validation data, in one of its first epochs."""
    report = run(config("passed", refit=True, schedules=["linear"], num_trials=1), tmp_path, low=0.02, high=0.05)
    best, rates = report.best, report.best.config.learning_rates(8 * 4)

    assert 1 < best.best_epoch < 8
    assert report.summary["best"]["refitted"]["epochs"] == best.best_epoch
    saved = keras.saving.load_model(tmp_path / "out/best/refitted.keras")
    assert float(saved.optimizer.learning_rate) == pytest.approx(rates[best.best_epoch * 4 - 1], rel=1e-5)


class StopsAfter(Stopper):
    def __init__(self, num_epochs):
        super().__init__()
        self.left = num_epochs

    def reason(self):
        self.left -= 1
        return Terminated() if self.left <= 0 else None

    def check(self):
        pass


@pytest.mark.long
def test_a_finished_study_is_refitted_when_that_is_asked_for_and_a_stopped_refit_goes_on(config, tmp_path):
    first = run(config(), tmp_path)
    assert first.summary["best"]["refitted"] is None
    with pytest.raises(Terminated):
        run(config(refit=True), tmp_path, stopper=StopsAfter(3))
    assert (tmp_path / "state/checkpoints/refit.npz").exists()
    events = []
    again = run(config(refit=True), tmp_path, on_event=events.append)
    whole = run(config(refit=True), tmp_path / "whole")

    assert again.trials == first.trials
    assert "goes on after epoch 3 of 8" in " ".join(event.text for event in events if isinstance(event, Note))
    assert again.summary["best"]["refitted"] == whole.summary["best"]["refitted"]
    assert not (tmp_path / "state/checkpoints/refit.npz").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("endless", "must end for a training by epochs, got data without an end"),
        ("generated", "in arrays, or both as tf.data.Dataset.*got tuple and .*Set .study. refit = false"),
        ("other_parts", "A refit must have training and validation data of the same parts"),
    ],
)
def test_a_refit_that_cannot_be_is_refused_before_anything_trains(data, message, config):
    with pytest.raises(TaskError, match=message):
        prepare(config(data, refit=True))


def test_the_models_of_the_best_few_are_saved_and_those_that_no_longer_are_removed(config, tmp_path):
    report = run_bowl(config(keep_top=2), tmp_path)
    more = run_bowl(config(keep_top=2, num_trials=6), tmp_path)

    for found in (report, more):
        first, second = found.summary["top"]
        ranking = sorted(found.trials[: len(found.trials)], key=lambda trial: trial.score)
        assert (first["number"], second["number"]) == tuple(trial.number for trial in ranking[:2])
        assert (first["model_file"], second["model_file"]) == (
            "best/model.keras",
            f"top/trial-{second['number']}.keras",
        )
    assert [path.name for path in (tmp_path / "out/top").iterdir()] == [f"trial-{second['number']}.keras"]
    model = keras.saving.load_model(tmp_path / "out" / second["model_file"])
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(
        second["score"], rel=1e-6
    )  # which the bowl leaves there


@pytest.mark.long
def test_any_completed_trial_is_exported_with_the_score_that_it_had_and_others_are_refused(config, tmp_path):
    settings = config(num_trials=6)
    where = {"out": tmp_path / "out", "state": tmp_path / "state"}
    with pytest.raises(NotFinished, match="must hold a study with trials to export"):
        export_trial(settings, 0, **where)
    report = run(settings, tmp_path, low=0.05, high=90.0)
    x, y = prepare(settings).task.validation
    completed = [trial for trial in report.trials if trial.state.name == "COMPLETED"]
    diverged = next(trial for trial in report.trials if trial.state.name == "DIVERGED")
    assert len(completed) > 1

    for trial in (report.best, max(completed, key=lambda trial: trial.score)):
        events = []
        is_best = trial is report.best
        path = export_trial(settings, trial.number, **where, on_event=events.append)
        assert keras.saving.load_model(path).evaluate(x, y, verbose=0)[0] == pytest.approx(trial.score, rel=1e-5)
        assert [isinstance(event, Note) for event in events[:-1]] == [True] * (not is_best)
        assert f"with the {trial.objective.label} {score_text(trial.score)} after epoch" in events[-1].text
    with pytest.raises(NoSuchTrial, match=f"got {diverged.number}, which was not: stopped, because a loss"):
        export_trial(settings, diverged.number, **where)
    with pytest.raises(NoSuchTrial, match="must be the number of one of the 6 trials that have ended, got 6"):
        export_trial(settings, 6, **where)
    with pytest.raises(NoSuchTrial, match=r"must be a file that ends in .keras or .weights.h5, got 'model.h5'"):
        export_trial(settings, 0, **where, to=tmp_path.__class__("model.h5"))


def test_the_command_refuses_a_trial_without_a_study_and_writes_nothing(lrrt, tmp_path):
    code, shown, said = lrrt("export", "--trial", "3")

    assert (code, shown) == (2, "")
    assert "must hold a study with trials to export" in said
    assert list(tmp_path.iterdir()) == []
