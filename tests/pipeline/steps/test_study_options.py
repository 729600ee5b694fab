"""Shows what a stage does with the options of its study: further trainings, folds, wider bounds, the model's own."""

import importlib
import json
from dataclasses import replace

import jsonschema
import keras
import numpy as np
import pytest

import pipeline
from pipeline.console.events import Note, RangeTestStarted, TrialDone
from pipeline.console.stopping import Stopper
from pipeline.failures import ConfigError, ForeignRun, TaskError, Terminated
from pipeline.report.rows import best_rows
from pipeline.results.schemas import schema_of
from pipeline.stage import go_on
from pipeline.state.run_directory import RunDirectory
from pipeline.state.stored import read_weights, write_best_weights
from pipeline.steps.given_bounds import bounds_by_hand, config_within
from pipeline.steps.retraining import winner_of
from studies import Retrained, Trained, Training, TrialConfig, TrialResult, TrialState, ranked
from studies.judging.ranking import Leaders
from tests.pipeline.bowl_task import bowl_run

pytestmark = pytest.mark.usefixtures("blank_pictures")

SMALL = {
    "range_test.optimizers": ["sgd"],
    "range_test.num_steps": 40,
    "range_test.repeats": 1,
    "study.num_trials": 2,
    "study.epochs": 2,
    "study.schedules": ["fixed"],
    "study.batch_sizes": [128],
    "study.sampler": "random",
    "study.top_retrained": 0,
}
TASKS = """
import keras, numpy as np
from pipeline.digits_example import load_data as digits

def part(data, number):
    return tuple(array[:number] for array in data)

def load_data():
    data = digits()
    return {"train": part(data["train"], 512), "validation": part(data["validation"], 128)}

def unheld():
    return {"train": load_data()["train"]}

def smoothed():
    data = load_data()
    return {name: (x, 0.9 * np.eye(10)[y] + 0.01) for name, (x, y) in data.items()}

def build_model(hp):
    units = hp.Choice("units", [8, 16])
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(units, "relu"),
                              keras.layers.Dense(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model

def plain():
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def taken(hp):
    hp.Choice("batch_size", [8, 16])
    return plain()

def eager():
    model = plain()
    model.run_eagerly = True
    return model

def for_one_hot():
    model = plain()
    model.compile("sgd", "categorical_crossentropy")
    return model
"""


@pytest.fixture
def task(write_module):
    write_module("option_tasks", TASKS)

    def task(model="plain", data="load_data", **overrides):
        own = {"task.build_model": f"option_tasks:{model}", "task.load_data": f"option_tasks:{data}"}
        changed = {key.replace("__", "."): value for key, value in overrides.items()}
        return pipeline.builtin_config({**SMALL, **own, **changed}, environ={})

    return task


def run(config, folder, *, stopper=None, given=None):
    events = []
    where = {"out": folder / "out", "state": folder / "state", "on_event": events.append, "stopper": stopper}
    if given is None:
        return pipeline.run_stage(config, **where), events
    return pipeline.run_search(config, bounds=given, **where), events


def run_bowl(config, folder, given=None):
    events = []
    config = config if given is None else config_within(config, given)
    where = bowl_run(config, folder, on_event=events.append)
    return go_on(replace(where, given=given, tests_ranges=given is None)), events


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


class StopsAfter(Stopper):
    """Stops a run after so many epochs of trials and further trainings."""

    def __init__(self, num_epochs):
        super().__init__()
        self.left = num_epochs

    def reason(self):
        self.left -= 1
        return Terminated() if self.left <= 0 else None

    def check(self):
        pass


def begun(config, folder):
    """Run a stage until its first trial has trained an epoch; return its events."""
    events = []
    with pytest.raises(Terminated):
        pipeline.run_stage(
            config, out=folder / "out", state=folder / "state", on_event=events.append, stopper=StopsAfter(1)
        )
    return events


def check_summary(report):
    jsonschema.Draft202012Validator(schema_of("summary")).validate(report.summary)


@pytest.mark.long
def test_a_run_stopped_in_a_further_training_goes_on_there_and_repeats_none(task, tmp_path):
    config = task(study__top_retrained=1, study__retrain_seeds=1, study__folds=2, study__patience=0)
    whole, _ = run(config, tmp_path / "whole")
    check_summary(whole)
    for num_epochs in (5, 3):  # of 4 in trials, 2 on a seed and 4 on folds: in the middle of the seed's, then a fold's
        with pytest.raises(Terminated):
            run(config, tmp_path / "stopped", stopper=StopsAfter(num_epochs))
        assert len(list((tmp_path / "stopped/state/checkpoints").glob("*-trial-*.npz"))) == 1
        assert not (tmp_path / "stopped/out/summary.json").exists()
    report, events = run(config, tmp_path / "stopped")

    assert not [event for event in events if isinstance(event, TrialDone)]
    assert [one.trial.number for one in report.retrained] == [one.trial.number for one in whole.retrained]
    for one, other in zip(report.retrained, whole.retrained, strict=True):
        assert [(t.name, t.result.val_losses) for t in one.trainings] == [
            (t.name, t.result.val_losses) for t in other.trainings
        ]
    assert report.best.number == whole.best.number
    lines = [json.loads(line) for line in (tmp_path / "stopped/out/trials_retrained.jsonl").read_text().splitlines()]
    assert [line["training"] for line in lines] == ["seed 1", "fold 1 of 2", "fold 2 of 2"]
    assert {len(line["val_losses"]) for line in lines} == {2}


def test_a_finished_study_goes_on_with_what_is_asked_for_and_with_its_own_data_alone(task, tmp_path):
    first, _ = run(task(), tmp_path)
    assert first.summary["best"]["mean_score"] is None
    more, events = run(task(study__top_retrained=1, study__retrain_seeds=2), tmp_path)
    again, later = run(task(study__top_retrained=1, study__retrain_seeds=2), tmp_path)

    assert not [event for event in events if isinstance(event, TrialDone)]
    assert [note.split(":")[0] for note in notes(events)] == [
        f"trial {more.best.number} again, seed 1",
        f"trial {more.best.number} again, seed 2",
    ]
    assert more.trials == first.trials
    assert more.summary["cost"]["retraining"]["trainings"] == 2
    assert [event.text for event in later] == ["nothing left to do: all 2 trials have ended"]
    assert again == more

    change_task(tmp_path, TASKS + "\n# a comment\n")
    _, later = run(task(study__top_retrained=1, study__retrain_seeds=2), tmp_path)
    assert "nothing left to do" in later[-1].text
    change_task(tmp_path, TASKS.replace('data["train"], 512', 'data["train"], 500'))
    with pytest.raises(ForeignRun, match=r"data\.train\.arrays: was \[\"\(512, 64\) float32\""):
        run(task(), tmp_path)


def change_task(folder, code):
    import option_tasks

    (folder / "option_tasks.py").write_text(code)
    importlib.reload(option_tasks)


def trial(number, score, lr=0.1, gap=0.0):
    losses = (2.0, score)
    return TrialResult(number, TrialConfig("sgd", "fixed", lr, 32), TrialState.COMPLETED, (2.0, score - gap), losses)


def retrained(one, seeds=(), folds=()):
    def trainings(scores):
        return tuple(Training(f"{i}", trial(one.number, score, one.config.lr)) for i, score in enumerate(scores))

    return Retrained(one, trainings(seeds), trainings(folds))


def test_each_trial_can_be_logged_for_tensorboard(task, tmp_path):
    report, _ = run_bowl(task(study__tensorboard=True, study__num_trials=1), tmp_path)

    assert [trial.number for trial in report.trials] == [0]
    assert list((tmp_path / "out/tensorboard/trial_0000").glob("events.out.tfevents.*"))


def test_the_winner_is_the_best_mean_where_means_are_asked_for(task):
    lucky, steady = trial(0, 0.1, 0.1), trial(1, 0.2, 0.2)
    found = [retrained(steady, (0.2, 0.2)), retrained(lucky, (0.1, 0.5))]

    assert winner_of(task(), [lucky, steady], found) is steady
    assert winner_of(task(study__rank_by="trial"), [lucky, steady], found) is lucky
    assert winner_of(task(), [lucky, steady], []) is lucky
    assert winner_of(task(), [], []) is None


def test_folds_are_ranked_by_before_seeds():
    one = retrained(trial(0, 0.1), seeds=(0.1, 0.2), folds=(0.3, 0.5))

    assert one.mean_score == pytest.approx(0.4)
    assert one.as_dict()["seeds"]["mean_score"] == pytest.approx(0.15)


def test_a_trial_that_is_clearly_worse_on_its_first_folds_is_spared_the_others(task, tmp_path):
    config = task(
        study__top_retrained=2, study__retrain_seeds=1, study__folds=3, study__epochs=2, study__num_trials=4,
        study__prunes=True, study__seed=3, study__mixes_validation=True, task__split="random",
    )  # fmt: skip
    report, _ = run(config, tmp_path, given=bounds_by_hand(config, {"sgd": (1e-6, 0.1)}))
    check_summary(report)
    winner, other = report.retrained  # with this seed one of the two is clearly worse on folds

    assert [len(winner.on_folds), len(other.on_folds)] == [3, 2]
    assert other.mean_score is None
    assert len(other.as_dict()["folds"]["scores"]) == 2


def test_the_best_few_have_values_of_their_own_and_a_gap_that_is_allowed():
    twice, same = trial(0, 0.1), trial(1, 0.1)
    wide, other = trial(2, 0.05, 0.2, gap=0.9), trial(3, 0.3, 0.3)

    assert ranked([twice, same, other]) == [twice, other]
    assert ranked([wide, twice, other]) == [wide, twice, other]
    assert ranked([wide, twice, other], max_gap=0.1) == [twice, other, wide]


def test_weights_are_stored_and_the_report_s_trials_ranked_by_the_gap_that_is_allowed(tmp_path):
    wide, other = trial(2, 0.05, 0.2, gap=0.9), trial(3, 0.3, 0.3)
    directory = RunDirectory(tmp_path / "out", tmp_path / "state")
    with directory.locked():
        for result, before in ((other, []), (wide, [other])):
            write_best_weights(directory, Trained(result, [np.ones(1)]), Leaders(before, num=1, max_gap=0.1))

    assert [row.trial for row in best_rows([wide, other], 0.1)] == [other, wide]
    assert read_weights(directory, other) is not None
    assert read_weights(directory, wide) is None


def test_a_best_rate_at_an_edge_leads_to_wider_bounds_and_the_trials_are_numbered_through(task, tmp_path):
    wider = {"study__epochs": 1, "study__widen": True, "study__seed": 4}  # its best rates lie at the edges
    config = task(study__num_trials=8, **wider)
    given = bounds_by_hand(config, {"sgd": (1e-4, 1e-3)})
    report, events = run_bowl(config, tmp_path, given)
    check_summary(report)
    again, later = run_bowl(config, tmp_path, given)
    more, _ = run_bowl(task(study__num_trials=9, **wider), tmp_path, given)

    assert [note for note in notes(events) if "so the search goes on in wider bounds" in note]
    assert len(report.widened) == 2
    assert [edge.edge.name for edge in report.widened] == ["HIGH", "HIGH"]
    assert report.space.optimizers[0].high == pytest.approx(0.1)
    assert [result.number for result in report.trials] == list(range(16))
    assert [event.result.number for event in events if isinstance(event, TrialDone)] == list(range(16))
    assert report.best.config.lr > 1e-3
    assert [event.text for event in later] == ["nothing left to do: all 16 trials have ended"]
    assert again == report
    assert more.trials[:16] == report.trials
    assert len(more.trials) == 17


@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_the_model_s_own_hyperparameters_are_searched_and_the_best_model_has_them(engine, task, tmp_path):
    config = task("build_model", study__engine=engine, study__num_trials=4, study__seed=1)
    report, _ = run(config, tmp_path)
    check_summary(report)
    model = keras.saving.load_model(tmp_path / "out/best/model.keras")
    space = json.loads((tmp_path / "out/space.json").read_text())

    assert {dict(result.config.own)["units"] for result in report.trials} == {8, 16}
    assert model.layers[0].units == dict(report.best.config.own)["units"]
    assert model.evaluate(*load_validation(), verbose=0) == pytest.approx(report.best.score, rel=1e-5)
    assert "units" in space["optuna"]
    assert run(config, tmp_path)[0] == report


def load_validation():
    import option_tasks

    return option_tasks.load_data()["validation"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "taken"}, TaskError, "must have other names than lrrt's own, got 'batch_size'"),
        (
            {"study__top_retrained": 1, "study__folds": 700},
            TaskError,
            r"2 <= num_folds <= num_samples` must hold, got 700 folds of 512",
        ),
        (
            {"study__top_retrained": 1, "study__folds": 2, "study__batch_sizes": [400], "task__split": "random"},
            TaskError,
            "Each fold must leave a batch to train on, got 256 of 512 samples for batches of 400",
        ),
        (
            {
                "study__top_retrained": 1,
                "study__folds": 2,
                "study__stratified": True,
                "model": "for_one_hot",
                "data": "smoothed",
            },
            TaskError,
            "must have labels that are one class a row",
        ),
        (
            {"range_test__monitor": "precision"},
            TaskError,
            "`monitor` must be a loss or a compiled metric, got 'precision'",
        ),
        (
            {"study__schedules": ["triangular"], "study__epochs": 1},
            ConfigError,
            r"\[study\] epochs must be enough .* 1 of them in batches of 128 are 4 steps. 'triangular' with num_cy",
        ),
    ],
)
def test_what_the_task_cannot_be_searched_with_is_refused_before_anything_trains(
    arguments, error, message, task, tmp_path
):
    with pytest.raises(error, match=message):
        run(task(**arguments), tmp_path)

    assert not (tmp_path / "state/study.db").exists()


def test_range_tests_are_reused_when_keys_of_the_study_change_and_run_again_when_their_own_do(task, tmp_path):
    where = {"out": tmp_path / "out", "state": tmp_path / "state"}
    first = pipeline.run_range_tests(task(range_test__num_steps=45), **where)
    events = []
    longer = pipeline.run_range_tests(task(range_test__num_steps=45, study__epochs=90), on_event=events.append, **where)
    assert events[0].text == "range tests: nothing left to do"
    assert longer.range_test.curves == first.range_test.curves
    for label, found in longer.range_test.bounds.items():
        assert found.training_steps * 2 == first.range_test.bounds[label].training_steps * 90
        assert found.low is None or found.low < first.range_test.bounds[label].low

    events.clear()
    again = pipeline.run_range_tests(task(), on_event=events.append, **where)
    (told,) = notes(events)
    assert told.endswith("do not hold, so they are run again: range_test.num_steps: was 45, now 40")
    assert again.range_test.curves != first.range_test.curves

    events = begun(task(study__epochs=3), tmp_path)
    assert not [event for event in events if isinstance(event, RangeTestStarted)]
    assert events[0].text == "resume: range tests are done, 0 of 2 trials have ended"
    with pytest.raises(ForeignRun, match=r"study inside the bounds of other range tests:\n  range_test.repeats: was 1"):
        pipeline.run_range_tests(task(range_test__repeats=2), **where)


def test_a_shared_storage_keeps_what_defines_its_study(task, tmp_path):
    storage = f"sqlite:///{tmp_path}/shared.db"
    run_bowl(task(study__storage=storage), tmp_path / "one")
    with pytest.raises(ForeignRun, match=r"is defined otherwise than this config:\n  study.epochs: was 2, now 3"):
        run_bowl(task(study__storage=storage, study__epochs=3), tmp_path / "other")


def test_where_validation_data_comes_from_is_told(task, tmp_path):
    events = begun(task(data="unheld", study__validation_fraction=0.25), tmp_path / "held")
    other = begun(task(study__validation_fraction=0.25), tmp_path / "given")

    assert notes(events)[0] == (
        "the task brings no validation data: 25% of the training data is held out for it, "
        "drawn at random within each class"
    )
    assert notes(other) == ["validation_fraction = 0.25 has no effect: the task brings its own validation data"]


def test_range_tests_watch_what_they_are_told_to_and_trials_pay_nothing_for_it(task):
    from pipeline.task.preparation import prepare

    prepared = prepare(task(range_test__monitor="val_accuracy", range_test__num_steps=60))

    assert (prepared.tested.monitor.name, prepared.tested.monitor.is_maximised) == ("val_accuracy", True)
    assert prepared.cache.loops.monitor.name == "loss"
    assert prepared.tested.batches is prepared.cache.loops.batches


def test_rates_are_searched_inside_the_bounds_of_their_batch_size(task, tmp_path):
    config = task(study__batch_sizes=[64, 256], range_test__per_batch_size=True, study__num_trials=4)
    report, _ = run(config, tmp_path)
    check_summary(report)
    bounds = report.range_test.bounds

    assert set(report.summary["bounds"]) == set(bounds) == {"sgd, batch_size=64", "sgd, batch_size=256"}
    for result in report.trials:
        found = bounds[f"sgd, batch_size={result.config.batch_size}"]
        assert found.low <= result.config.lr <= found.high
    assert sum(found["num_trials"] for found in report.summary["bounds"].values()) == 4


def test_range_tests_of_a_model_that_cannot_be_traced_say_so_once(task, tmp_path):
    events = []
    config = task("eager", range_test__optimizers=["sgd", "adam"], range_test__start_lr=1e-3, range_test__num_steps=20)
    report = pipeline.run_range_tests(config, out=tmp_path / "out", state=tmp_path / "state", on_event=events.append)

    assert list(report.range_test.bounds) == ["sgd", "adam"]
    assert notes(events) == [
        "range tests go through model.fit, which takes many times longer: the model was compiled with run_eagerly=True"
    ]
