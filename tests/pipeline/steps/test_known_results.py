"""Shows that a study starts from what is known: configs of the user's own, and the trials of an earlier study."""

import json

import jsonschema
import pytest

import pipeline
from pipeline.console.events import Note
from pipeline.failures import BadWarmStart, ConfigError
from pipeline.results.schemas import schema_of
from pipeline.steps.given_bounds import bounds_by_hand
from pipeline.task.preparation import prepare

pytestmark = pytest.mark.usefixtures("blank_pictures")

TASKS = """
import keras, numpy as np
X = np.zeros((100, 1))

def load_data(value=1.0):
    return {name: (X, np.full(100, value)) for name in ("train", "validation")}

def other_data():
    return load_data(2.0)

def constant(hp):
    hp.Int("units", 1, 9)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model

def deeper(hp):
    hp.Int("units", 1, 9)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
"""


@pytest.fixture
def config(write_module):
    write_module("known_tasks", TASKS)

    def config(model="constant", data="load_data", **study):
        own = {
            "task.build_model": f"known_tasks:{model}",
            "task.load_data": f"known_tasks:{data}",
            "range_test.optimizers": ["sgd"],
            "study.schedules": ["fixed"],
            "study.epochs": 2,
            "study.num_trials": 4,
            "study.batch_sizes": [50],
            "study.top_retrained": 0,
            "study.sampler": "random",
        }
        return pipeline.builtin_config({**own, **{f"study.{key}": value for key, value in study.items()}}, environ={})

    return config


def run(config, folder, low=0.01, high=0.4):
    events = []
    where = {"out": folder / "out", "state": folder / "state", "on_event": events.append}
    report = pipeline.run_search(config, bounds=bounds_by_hand(config, {"sgd": (low, high)}), **where)
    jsonschema.Draft202012Validator(schema_of("summary")).validate(json.loads(json.dumps(report.summary)))
    return report, [event.text for event in events if isinstance(event, Note)]


@pytest.mark.long
def test_a_study_starts_from_the_best_of_an_earlier_one_with_either_engine_and_refuses_another_model(config, tmp_path):
    """The earlier study had other data and narrower bounds; its trials are known where they lie in the new ones."""
    earlier, _ = run(config(seed=1), tmp_path / "one")
    best = sorted(earlier.trials, key=lambda trial: trial.score)
    own = {"lr": 0.123, "units": 7}
    sources = {"optuna": tmp_path / "one/out", "keras_tuner": f"sqlite:///{tmp_path}/one/state/study.db"}
    for engine, source in sources.items():
        settings = config(data="other_data", engine=engine, warm_start=str(source), first=[own, {"lr": 5.0}])
        report, notes = run(settings, tmp_path / engine, low=0.001)
        first, *others = report.trials

        assert (first.config.lr, dict(first.config.own)) == (0.123, {"units": 7})
        assert [trial.config for trial in others] == [trial.config for trial in best[:3]]
        assert "[[study.first]] number 2 is left out" in " ".join(notes)
        assert report.summary["warm_start"] == {"source": str(source).removeprefix("sqlite:///"), "num_trials": 4}
        assert "It started from the 4 trials of" in (tmp_path / engine / "out/report.html").read_text()
    with pytest.raises(
        BadWarmStart, match=r"must be a study of the same model, but .*one/out is not:\n  model.archite"
    ):
        run(config("deeper", warm_start=str(tmp_path / "one/out")), tmp_path / "other")
    assert not (tmp_path / "other/state/study.db").exists()

    more = config(data="other_data", first=[own, {"lr": 5.0}], num_trials=5)  # goes on without the option
    assert run(more, tmp_path / "optuna", low=0.001)[0].trials[:4] == pipeline_trials(tmp_path / "optuna")[:4]


def pipeline_trials(folder):
    from studies import TrialResult

    lines = (folder / "out/trials.jsonl").read_text().splitlines()
    return tuple(TrialResult.from_dict(json.loads(line)) for line in lines)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "got 'nowhere', which has neither a summary.json nor a study.db"),
        ("sqlite:///nothing.db", "nothing.db holds none"),
        ("torn", "cannot be read"),
        ("torn/summary.json", "summary.json cannot be read: it is no database"),
        ("me:secret@host/study", r"its storage, got '\.\.\.', which has neither"),
    ],
)
def test_an_earlier_study_that_is_not_there_is_refused_before_anything_trains(
    where, message, config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/summary.json").write_text('{"model"')
    with pytest.raises(BadWarmStart, match=message):
        run(config(warm_start=where), tmp_path / "new")
    assert not (tmp_path / "new/state/study.db").exists()
    assert not (tmp_path / "nothing.db").exists()


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"lr": -1}, r"number 1 must have a positive number as lr__sgd, got -1"),
        ({"lr": "fast"}, r"number 1 must have a positive number as lr__sgd, got 'fast'"),
        ({"unit": 3}, r"number 1 must have names of the search space, got 'unit'. Did you mean 'units'"),
        ({"optimizer": "adam"}, "must have a optimizer that is searched, \"sgd\", got 'adam'"),
        ({"units": 10}, "must have a units that is searched, a number from 1 to 9, got 10"),
        ({"batch_size": 32}, 'must have a batch_size that is searched, "50", got 32'),
    ],
)
def test_a_first_config_that_no_trial_can_have_is_refused_before_anything_trains(first, message, config):
    with pytest.raises(ConfigError, match=message):
        prepare(config(first=[first]))
