"""A stage looks for what its objective says, and reports it everywhere."""

import csv
import json
from pathlib import Path

import jsonschema
import pytest

import pipeline
from pipeline.failures import ConfigError, TaskError
from pipeline.report.status import in_words, read_status
from pipeline.results.schemas import schema_of
from pipeline.stage import go_on
from pipeline.steps.given_bounds import bounds_by_hand
from pipeline.task.preparation import prepare
from pipeline.workers.local import LocalWorkers
from studies import OptunaStudy
from tests.pipeline.bowl_task import bowl_run

pytestmark = pytest.mark.usefixtures("blank_pictures")

ROOT = Path(__file__).parents[3]
IMBALANCED = {
    "task.build_model": "tests.studies.imbalanced:build_model",
    "task.load_data": "tests.studies.imbalanced:load_data",
    "range_test.optimizers": ["sgd"],
    "study.num_trials": 6,
    "study.epochs": 2,
    "study.schedules": ["fixed"],
    "study.batch_sizes": [64],
    "study.objective": "val_auc",
    "study.top_retrained": 1,
    "study.retrain_seeds": 1,
    "study.seed": 1,
}


def searched(folder, *, workers=None, **changed):
    config = pipeline.builtin_config(
        {**IMBALANCED, **{f"study.{key}": value for key, value in changed.items()}}, environ={}
    )
    where = {"out": folder / "out", "state": folder / "state"}
    told = []
    bounds = bounds_by_hand(config, {"sgd": (1e-6, 1e-5)})
    report = pipeline.run_search(config, bounds=bounds, workers=workers, on_event=told.append, **where)
    return report, "\n".join(map(str, told)), config


@pytest.mark.parametrize(
    ("engine", "workers"),
    [
        pytest.param("optuna", None, marks=pytest.mark.long),
        ("keras_tuner", None),
        pytest.param("optuna", LocalWorkers(2, ROOT), marks=pytest.mark.long),
    ],
)
@pytest.mark.long
def test_the_winner_of_an_imbalanced_task_by_auc_is_not_the_one_with_the_lowest_loss(engine, workers, tmp_path):
    report, told, config = searched(tmp_path, engine=engine, workers=workers)
    lowest = min(report.trials, key=lambda trial: trial.val_losses[-1])
    summary = json.loads(report.summary_path.read_text())
    rows = list(csv.DictReader((tmp_path / "out/trials.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "out/trials.jsonl").read_text().splitlines()]
    html = (tmp_path / "out/report.html").read_text()

    assert dict(report.best.config.own) == {"kind": "ranking"}
    assert dict(lowest.config.own) == {"kind": "calibrated"}
    jsonschema.validate(summary, schema_of("summary"))
    assert summary["best"]["objective"] == {"name": "val_auc", "direction": "max"}
    assert summary["best"]["score"] == summary["best"]["mean_score"] == pytest.approx(1.0, abs=1e-3)
    assert max(float(row["score"]) for row in rows) == report.best.score
    assert {"last_auc", "last_val_auc", "last_val_loss"} < set(rows[0])
    assert all(len(line["metrics"]["val_auc"]) == len(line["val_losses"]) for line in lines)
    assert OptunaStudy.join(f"sqlite:///{tmp_path}/state/study.db").study.direction.name == "MAXIMIZE"
    assert ": val_auc 1 (1 in the mean" in told
    assert "its best val_auc: higher is better" in html
    assert "best val_auc 1 in trial" in in_words(read_status(config, out=tmp_path / "out", state=tmp_path / "state"))


def test_an_objective_that_the_model_does_not_show_ends_with_65_before_anything_trains(tmp_path):
    with pytest.raises(TaskError, match="got 'val_acu'; it shows accuracy, auc, loss, own_metric, val_accuracy"):
        searched(tmp_path, objective="val_acu")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_loss_is_not_maximised():
    with pytest.raises(ConfigError, match=r"\[study\] direction: must be \"min\" or \"auto\" for a loss"):
        pipeline.builtin_config({"study.direction": "max"}, environ={})


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        (["auto"], "must have one for each of 2 objectives, got a list of 1"),
        (["auto", "max"], 'must be "min" or "auto" for a loss, got "max" with objective = "val_loss"'),
        (["auto", "up"], 'must be "auto", "min" or "max", or a list with one for each objective'),
        ([], "or a list with one for each objective"),
    ],
)
def test_a_list_of_directions_has_one_that_fits_for_each_objective(direction, message):
    with pytest.raises(ConfigError, match=rf"\[study\] direction: .*{message}"):
        pipeline.builtin_config({"study.objective": ["val_auc", "val_loss"], "study.direction": direction}, environ={})


def test_a_metric_whose_direction_keras_does_not_know_may_be_a_further_objective():
    def prepared(direction):
        names = {"study.objective": ["val_auc", "val_own_metric"], "study.direction": direction}
        config = pipeline.builtin_config({**IMBALANCED, **names}, environ={})
        return prepare(config).trainer(config, print).objectives

    assert [one.direction for one in prepared(["auto", "min"])] == ["max", "min"]
    with pytest.raises(TaskError, match=r'of several objectives, one for each, as \["auto", "max"\]'):
        prepared("max")


@pytest.mark.parametrize("engine", ["optuna", pytest.param("keras_tuner", marks=pytest.mark.long)])
def test_several_objectives_leave_a_front_as_table_and_picture(engine, tmp_path):
    """The two models are of one size, so the front is of the best ranking alone."""
    names = ["val_auc", "num_parameters"]
    report, _, _ = searched(tmp_path, engine=engine, objective=names, top_retrained=0)
    rows = list(csv.DictReader((tmp_path / "out/pareto_front.csv").read_text().splitlines()))
    stored = OptunaStudy.join(f"sqlite:///{tmp_path}/state/study.db").study

    assert [direction.name for direction in stored.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert report.best == report.front[0]
    assert {dict(one.config.own)["kind"] for one in report.front} == {"ranking"}
    assert (
        report.summary["pareto_front"] == [one.number for one in report.front] == [int(row["number"]) for row in rows]
    )
    assert {float(row["num_parameters"]) for row in rows} == {5.0}
    assert (tmp_path / "out/plots/pareto_front.svg").exists()
    assert "Pareto front" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_a_stage_that_a_limit_ends_has_nothing_left_until_the_limit_is_raised(engine, tmp_path):
    def ended(**limits):
        settings = {"study.engine": engine, "study.num_trials": 12, "study.top_retrained": 0}
        config = pipeline.builtin_config(
            {**settings, **{f"study.{key}": value for key, value in limits.items()}}, environ={}
        )
        events = []
        report = go_on(bowl_run(config, tmp_path, on_event=events.append))
        return len(report.trials), " ".join(map(str, events))

    num_trials, told = ended(stop_after=2)
    assert num_trials < 12
    assert f"2 trials in a row brought no better validation loss, so the study ends after {num_trials} trials" in told
    again, told = ended(stop_after=2)
    assert again == num_trials
    assert "nothing left to do" in told
    assert ended(stop_after=0)[0] == 12


def test_every_limit_out_of_its_domain_is_told(tmp_path):
    wrong = {"stop_after": -1, "target": "low", "max_trial_time": "soon", "max_parameters": -5, "objective": []}
    with pytest.raises(ConfigError) as told:
        pipeline.builtin_config({f"study.{key}": value for key, value in wrong.items()}, environ={})
    for key in wrong:
        assert f"[study] {key}" in str(told.value)
