"""Shows that workers which share a stage split, weigh, score and refit as one process does, and start from the same."""

import keras
import pytest

import pipeline
from pipeline.steps.given_bounds import bounds_by_hand
from pipeline.workers.local import LocalWorkers

pytestmark = pytest.mark.usefixtures("blank_pictures")

TASK = """
import keras, numpy as np
X = np.repeat(np.random.default_rng(0).normal(size=(20, 3)), 6, axis=0)
CLASS = np.repeat(np.arange(20) % 4 == 0, 6)

def load_data(hp):
    scale = hp.Choice("scale", [1.0, 2.0])
    data = scale * X, CLASS
    return {"train": data, "test": data, "groups": np.repeat(np.arange(20), 6)}

def build_model():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model
"""


@pytest.fixture
def config(write_module):
    write_module("shared_task", TASK)

    def config(**study):
        own = {
            "task.build_model": "shared_task:build_model",
            "task.load_data": "shared_task:load_data",
            "task.class_weight": "balanced",
            "range_test.optimizers": ["sgd"],
            "study.schedules": ["fixed"],
            "study.epochs": 2,
            "study.num_trials": 4,
            "study.batch_sizes": [24],
            "study.sampler": "random",
            "study.top_retrained": 0,
            "study.score_folds": 2,
            "study.keep_top": 2,
            "study.refit": True,
            "study.first": [{"lr": 0.0123, "scale": 2.0}],
        }
        return pipeline.builtin_config({**own, **{f"study.{key}": value for key, value in study.items()}}, environ={})

    return config


@pytest.mark.long
def test_two_workers_find_what_one_process_finds(config, tmp_path):
    alone, shared = (
        pipeline.run_search(
            config(**options),
            bounds=bounds_by_hand(config(), {"sgd": (0.01, 0.4)}),
            out=tmp_path / name / "out",
            state=tmp_path / name / "state",
            workers=workers,
        )
        for name, workers, options in (
            ("alone", None, {}),
            ("shared", LocalWorkers(2, tmp_path), {"warm_start": str(tmp_path / "alone/out"), "num_trials": 6}),
        )
    )
    first, *others = shared.trials

    assert (first.config, first.fold_scores) == (alone.trials[0].config, alone.trials[0].fold_scores)
    best = sorted(alone.trials, key=lambda trial: trial.score)[:3]
    assert [trial.config for trial in others[:3]] == [trial.config for trial in best]
    assert [trial.fold_scores for trial in others[:3]] == [trial.fold_scores for trial in best]
    assert shared.summary["warm_start"]["num_trials"] == 4
    data = shared.summary["data"]
    assert (data["split"], data["is_held_out"]) == ("group", True)
    assert {float(number): weight for number, weight in data["class_weight"].items()} == pytest.approx(
        {0: 2 / 3, 1: 2.0}, rel=0.2
    )
    for file in (*(one["model_file"] for one in shared.summary["top"]), "best/refitted.keras"):
        assert keras.saving.load_model(tmp_path / "shared/out" / file).input_shape == (None, 3)
