"""Shows that what people ask for together works together: a score, an honest split, weights, a stop, a winner."""

import keras
import pytest

import pipeline
from pipeline.steps.given_bounds import bounds_by_hand

pytestmark = pytest.mark.usefixtures("blank_pictures")

ASKED_FOR = {
    "task.build_model": "tests.studies.imbalanced:build_model",
    "task.load_data": "tests.studies.imbalanced:load_data",
    "task.class_weight": "balanced",
    "task.split": "stratified",
    "range_test.optimizers": ["sgd"],
    "study.num_trials": 12,
    "study.epochs": 2,
    "study.schedules": ["fixed"],
    "study.batch_sizes": [64],
    "study.objective": "val_auc",
    "study.score_folds": 2,
    "study.stop_after": 3,
    "study.top_retrained": 1,
    "study.retrain_seeds": 1,
    "study.refit": True,
    "study.seed": 1,
}


def test_an_imbalanced_task_leads_to_a_model_that_tells_the_rare_class(tmp_path):
    config = pipeline.builtin_config(ASKED_FOR, environ={})
    bounds = bounds_by_hand(config, {"sgd": (1e-6, 1e-5)})
    report = pipeline.run_search(config, bounds=bounds, out=tmp_path / "out", state=tmp_path / "state")
    from tests.studies.imbalanced import load_data, own_metric

    best, (again,) = report.best, report.retrained
    assert best.score == pytest.approx(sum(best.fold_scores) / 2)
    assert best.score == pytest.approx(1.0, abs=0.01)
    assert len(again.on_seeds[0].result.fold_scores) == 2
    assert len(report.trials) < 12  # it was stopped
    assert report.summary["data"]["split"] == "stratified"
    model = keras.saving.load_model(tmp_path / "out/best/refitted.keras", custom_objects={"own_metric": own_metric})
    assert model.evaluate(*load_data()["train"], verbose=0, return_dict=True)["auc"] > 0.98
