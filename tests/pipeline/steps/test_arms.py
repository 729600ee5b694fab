"""What is true of a stage that turns to its optimizers one by one."""

import json
import re
from dataclasses import replace

import pytest

import pipeline
from lrrt import Bounds, Verdict
from pipeline.console.events import Note, RangeTestStarted, StageStarted, TrialDone
from pipeline.failures import NoUsableRange
from pipeline.report.plan import make_plan
from pipeline.report.status import in_words, read_status
from pipeline.stage import go_on, rewrite_report
from pipeline.steps.given_bounds import bounds_by_hand
from pipeline.steps.range_tests import range_tests
from tests.pipeline.bowl_task import PreparedBowl, bowl_run, prepare_bowl

pytestmark = pytest.mark.usefixtures("blank_pictures")

ARMS = {
    "range_test.optimizers": ["sgd", "adam", "lion"],
    "range_test.num_steps": 60,
    "range_test.repeats": 1,
    "study.sampler": "arms",
    "study.epochs": 3,
    "study.top_retrained": 0,
}


def config(num_trials, **changed):
    return pipeline.builtin_config({**ARMS, "study.num_trials": num_trials, **changed}, environ={})


def run(folder, num_trials, events=None, **changed):
    collect = (lambda event: None) if events is None else events.append
    return go_on(bowl_run(config(num_trials, **changed), folder, on_event=collect))


def configs(report):
    return [trial.config for trial in report.trials]


@pytest.fixture(scope="module")
def two_of_three(tmp_path_factory, blank_pictures):
    """A stage of three trials, which turns to two of three optimizers."""
    folder, events = tmp_path_factory.mktemp("arms"), []
    return folder, run(folder, 3, events), events


def test_the_range_of_an_optimizer_is_tested_when_the_study_turns_to_it(two_of_three):
    _, report, events = two_of_three
    seen = [
        event.label if isinstance(event, RangeTestStarted) else event.result.config.optimizer_name
        for event in events
        if isinstance(event, RangeTestStarted | TrialDone)
    ]
    assert seen == ["adam", "adam", "sgd", "sgd", "sgd"]
    assert list(report.range_test.bounds) == ["sgd", "adam"]


def test_the_results_say_what_was_searched_and_to_which_optimizers_the_study_did_not_turn(two_of_three):
    folder, report, _ = two_of_three
    space = json.loads((folder / "out" / "space.json").read_text())

    assert {name: row["num_trials"] for name, row in report.summary["bounds"].items()} == {"sgd": 2, "adam": 1}
    assert {one["name"]: one["low"] for one in space["optimizers"]} == {
        name: bounds.low for name, bounds in report.range_test.bounds.items()
    }
    assert report.notes == ("in 3 trials the study did not turn to lion, so their ranges are not tested",)
    assert "In 3 trials the study did not turn to lion" in (folder / "out" / "report.html").read_text()


def test_a_finished_stage_has_nothing_left_to_do_and_its_report_can_be_written_again(two_of_three):
    folder, report, _ = two_of_three
    events = []
    assert configs(run(folder, 3, events)) == configs(report)
    assert [event.text for event in events if isinstance(event, StageStarted)] == [
        "nothing left to do: all 3 trials have ended"
    ]
    again = rewrite_report(config(3), out=folder / "out", state=folder / "state")
    assert (again.notes, again.edge, again.space) == (report.notes, None, report.space)
    assert "done: 3 of 3" in in_words(read_status(config(3), out=folder / "out", state=folder / "state"))
    fewer = in_words(read_status(config(2), out=folder / "out", state=folder / "state"))
    assert fewer.startswith("done: 3 of 3 trials have ended, more than the 2 of the config, best ")


def test_a_stage_that_goes_on_has_the_trials_of_one_that_was_never_stopped(tmp_path):
    events = []
    for num_trials in (1, 3, 6):
        parts = run(tmp_path / "parts", num_trials, events)
    assert configs(parts) == configs(run(tmp_path / "whole", 6))
    begins = [event.text for event in events if isinstance(event, StageStarted)]
    assert begins[0] == "start: 1 trial"
    assert begins[1] == "resume: range tests of adam are done, 1 of 3 trials have ended"


def test_range_tests_that_were_all_run_before_change_no_trial(two_of_three, tmp_path):
    _, report, _ = two_of_three
    (tmp_path / "state").mkdir()
    range_tests(bowl_run(config(3), tmp_path), prepare_bowl(config(3), None, None))
    with_all = run(tmp_path, 3)
    assert configs(with_all) == configs(report)
    assert list(with_all.range_test.bounds) == ["sgd", "adam", "lion"]


def test_bounds_that_were_given_take_the_place_of_range_tests(tmp_path):
    events = []
    settings = config(3, **{"range_test.optimizers": ["sgd", "adam"]})
    given = bounds_by_hand(settings, {"sgd": (0.01, 0.4), "adam": (0.05, 0.2)})
    report = go_on(replace(bowl_run(settings, tmp_path, on_event=events.append), given=given, tests_ranges=False))
    assert not [event for event in events if isinstance(event, RangeTestStarted)]
    assert report.trials[0].config.lr == pytest.approx(0.1)


def test_a_range_test_without_an_answer_begins_in_the_fallback_range_and_says_so(tmp_path, monkeypatch):
    events = []
    leave_without_bounds(monkeypatch, Verdict.FLAT)
    report = run(tmp_path, 1, events)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert "adam: no bounds, so the study begins in the fallback range 1e-05 to 0.1" in notes
    assert report.best.config.lr == pytest.approx(1e-3)


def test_a_stage_ends_before_its_study_if_no_loss_is_finite(tmp_path, monkeypatch):
    leave_without_bounds(monkeypatch, Verdict.NON_FINITE)
    with pytest.raises(NoUsableRange, match=r"sgd: .*; adam: .*; lion: "):
        run(tmp_path, 3)


def leave_without_bounds(monkeypatch, verdict):
    """Let every range test of the bowl end with this verdict."""
    whole = PreparedBowl.range_test

    def range_test(self, settings, optimizer, watcher):
        nothing = Bounds(None, None, None, verdict, verdict.value)
        return replace(whole(self, settings, optimizer, watcher), bounds={optimizer: nothing})

    monkeypatch.setattr(PreparedBowl, "range_test", range_test)


@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_both_engines_have_it_and_propose_the_same(engine, two_of_three, tmp_path):
    assert configs(run(tmp_path, 3, **{"study.engine": engine})) == configs(two_of_three[1])


def test_bounds_that_are_no_limits_are_not_widened():
    with pytest.raises(pipeline.ConfigError, match=r'widen: must be false with sampler = "arms"'):
        config(3, **{"study.widen": True})


def test_a_plan_has_the_order_of_the_optimizers():
    plan = make_plan(config(3, **{"range_test.optimizers": ["sgd", "adam"]}))
    assert "the study turns to adam, sgd in this order, and tests an optimizer's range when it does" in plan.notes


@pytest.mark.parametrize(("optimizers", "says"), [(["sgd", "adam"], False), (["sgd", "adam", "lion"], True)])
def test_a_plan_of_many_range_tests_names_the_sampler_that_waits_with_them(optimizers, says):
    plan = make_plan(config(3, **{"range_test.optimizers": optimizers, "study.sampler": "tpe"}))
    assert any('with sampler = "arms" under [study] each waits' in note for note in plan.notes) == says


def test_a_plan_has_only_the_range_tests_that_so_few_trials_leave_time_for():
    plan = make_plan(config(3))
    assert [part.name for part in plan.parts if "range test" in part.name] == [
        "range test of adam",
        "range test of sgd",
    ]
    assert plan.parts[0].num_steps > plan.parts[1].num_steps  # the first one has the steps that change nothing
    assert "3 trials are too few to turn to lion" in plan.notes


def test_the_results_say_that_the_best_rate_lies_beyond_the_bounds(tmp_path):
    settings = config(6, **{"range_test.optimizers": ["sgd"], "study.schedules": ["fixed"]})
    given = bounds_by_hand(settings, {"sgd": (2e-4, 2e-2)})  # the bowl is solved at once at 0.25
    report = go_on(replace(bowl_run(settings, tmp_path), given=given, tests_ranges=False))
    assert report.best.config.lr > 0.02
    [note] = [note for note in report.notes if note.startswith("the best rate, ")]
    assert "lies above the bounds of sgd, 2.0e-04 to 2.0e-02: the best trial is there" in note


def test_the_report_says_which_optimizer_gets_no_more_trials_when_and_why(tmp_path):
    report = run(tmp_path, 24)
    left = [note for note in report.notes if "gets no more trials after trial" in note]
    assert left
    name, number = re.match(r"(\w+) gets no more trials after trial (\d+): its best, .* of \w+, ", left[0]).groups()
    assert max(one.number for one in report.trials if one.config.optimizer_name == name) == int(number) < 23
