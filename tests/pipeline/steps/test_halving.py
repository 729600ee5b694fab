"""A stage that halves its trials: it promotes from kept weights, goes on after interruptions, says what it cut."""

import json
from pathlib import Path

import jsonschema
import pytest

import pipeline
from pipeline.console.events import EpochDone, Note, TrialDone
from pipeline.report.savings import planned_cuts
from pipeline.report.status import read_status
from pipeline.results.schemas import schema_of
from pipeline.stage import go_on
from pipeline.steps.given_bounds import bounds_by_hand
from pipeline.workers.local import LocalWorkers
from studies import OptunaStudy, StopTraining, TrialState
from studies.judging.halving import promoted
from tests.pipeline.bowl_task import BowlWorkers, bowl_run

ROOT = Path(__file__).parents[3]
HALVED = {
    "range_test.optimizers": ["sgd"],
    "range_test.repeats": 1,
    "study.prunes": "hyperband",
    "study.num_trials": 16,
    "study.epochs": 8,
    "study.schedules": ["fixed", "cosine"],
    "study.top_retrained": 0,
}


def halved(**changed):
    own = {f"study.{key}": value for key, value in changed.items()}
    return pipeline.builtin_config({**HALVED, **own}, environ={})


@pytest.mark.parametrize(("engine", "sampler", "seed"), [("optuna", "tpe", 1), ("keras_tuner", "random", 0)])
def test_a_halved_stage_that_is_interrupted_ends_as_one_that_is_not_and_says_what_it_cut(
    engine, sampler, seed, tmp_path, blank_pictures
):
    config = halved(engine=engine, sampler=sampler, seed=seed)
    whole = go_on(bowl_run(config, tmp_path / "whole"))
    said = []
    for number in (2, 17, 40):
        left = iter(range(number))

        def stop(event, left=left):
            said.append(event)
            if isinstance(event, TrialDone | EpochDone) and next(left, None) is None:
                raise StopTraining

        with pytest.raises(StopTraining):
            go_on(bowl_run(config, tmp_path / "parts", on_event=stop))
    report = go_on(bowl_run(config, tmp_path / "parts", on_event=said.append))
    cuts, html = report.summary["cost"]["cuts"], (tmp_path / "parts/out/report.html").read_text()
    cut = [trial for trial in report.trials if trial.state is TrialState.PRUNED]

    assert list(report.trials) == list(whole.trials)
    assert any("goes on after epoch 4 of 8" in event.text for event in said if isinstance(event, Note))
    assert [file.name for file in (tmp_path / "parts/state/checkpoints").glob("*from-epoch*")] == []
    jsonschema.validate(json.loads(report.summary_path.read_text()), schema_of("summary"))
    assert (cuts["cut"], cuts["steps_saved"]) == (len(cut), sum(5 * trial.epochs_saved for trial in cut))
    assert 0 < cuts["cut"] < cuts["could_cut"] <= 16
    assert f"could cut {cuts['could_cut']} of 16 trials" in html
    assert f"it cut {cuts['cut']} and saved" in html
    assert read_status(config, out=tmp_path / "parts/out", state=tmp_path / "parts/state")["slots"]["ended"] == 16


def test_more_trials_of_a_halved_study_go_on_where_it_ended(tmp_path, blank_pictures):
    first = go_on(bowl_run(halved(), tmp_path))
    more = go_on(bowl_run(halved(num_trials=24), tmp_path))
    whole = go_on(bowl_run(halved(num_trials=24), tmp_path / "whole"))

    assert len(first.trials) == 16
    assert list(more.trials) == list(whole.trials)


def check_shared(report, folder):
    trials = OptunaStudy.join(f"sqlite:///{folder}/state/study.db").study.get_trials()
    keys = [trial.user_attrs["key"] for trial in trials if trial.state.name == "COMPLETE"]

    assert [trial.number for trial in report.trials] == list(range(10))
    assert len(keys) == len(set(keys)) >= 10
    assert promoted(report.trials) == []
    assert TrialState.PRUNED in {trial.state for trial in report.trials}
    assert [file.name for file in (folder / "state/checkpoints").glob("*from-epoch*")] == []


def test_two_workers_share_halved_trials(tmp_path, blank_pictures):
    config = halved(sampler="tpe", num_trials=10, epochs=4)
    check_shared(go_on(bowl_run(config, tmp_path), BowlWorkers(2)), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_two_workers_share_halved_trials_of_a_real_model(engine, tmp_path, blank_pictures):
    config = halved(engine=engine, sampler="tpe", num_trials=10, epochs=4)
    report = pipeline.run_search(
        config,
        bounds=bounds_by_hand(config, {"sgd": (1e-3, 0.5)}),
        out=tmp_path / "out",
        state=tmp_path / "state",
        workers=LocalWorkers(2, ROOT),
    )
    check_shared(report, tmp_path)


def test_the_plan_says_how_many_trials_successive_halving_can_cut():
    config = halved(num_trials=20, schedules=["fixed", "triangular", "one_cycle"])

    assert planned_cuts(config.study) == (
        'prunes = "hyperband" can cut 10 of 20 trials and save 18% of their steps at most, if each schedule has as '
        "many trials: of 8 epochs, fixed at epoch 4 and 6, triangular at epoch 6, one_cycle never"
    )
    assert planned_cuts(halved(num_trials=1).study).startswith('prunes = "hyperband" can cut 0 of 1 trials and save 0%')
    assert planned_cuts(halved(epochs=1).study).endswith("of 1 epochs, fixed never, cosine never")
    assert planned_cuts(halved(prunes=True).study) is None
