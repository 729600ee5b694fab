"""Shows which keys summary.json has, and that its schema asks for each of them and for no others."""

import json
import math
from pathlib import Path

import jsonschema
import pytest

from lrrt import Case, Ramp, RangeCurve, RangeTestResult, find_bounds
from pipeline.report.summary import StageReport, summarise
from pipeline.results.models import Saved, SavedModels
from pipeline.results.schemas import schema_of
from pipeline.results.summary_file import RefittedModel, TopModel
from studies import (
    AtEdge,
    Edge,
    Retrained,
    SearchSpace,
    Training,
    TrialConfig,
    TrialResult,
    TrialState,
    check_overfitting,
)

LRS = tuple(map(float, Ramp().rates()))
CURVE = RangeCurve(LRS, tuple(2 - min(lr / 0.1, 1) + (lr / 3) ** 2 for lr in LRS))
RANGE_TEST = RangeTestResult(
    {"sgd": (CURVE,)}, {"sgd": find_bounds([CURVE])}, {"sgd": Case("sgd", "sgd", 32)}, Ramp(), 0
)
BEST = TrialResult(0, TrialConfig("sgd", "fixed", 0.1, 32), TrialState.COMPLETED, (1.0, math.nan), (1.0, 0.5), 8, 0.25)
EDGE = AtEdge("sgd", Edge.HIGH, 0.1, 0.01, 0.1)

# Scripts of other people read these; a change of theirs breaks them.
KEYS = {
    "": (
        "schema_version status versions best pareto_front top retrained bounds widened data model warm_start narrowing "
        "num_trials cost"
    ),
    "best": (
        "number state parameters score best_epoch train_losses val_losses num_steps seconds error planned_epochs "
        "objective metrics num_parameters seconds_per_step evaluated_train_loss fold_scores mean_score spread test "
        "model_file loading_code refitted overfitting overfitting_sentence evaluation at_edge"
    ),
    "best.overfitting": "verdict reason num_epochs best_epoch best_val_loss generalisation_gap rise noise",
    "best.refitted": "model_file epochs train_loss test",
    "top.0": "number score model_file",
    "best.at_edge": "optimizer edge lr low high reason",
    "retrained.0": "number score mean_score spread seeds folds",
    "retrained.0.seeds": "mean_score spread scores",
    "bounds.sgd": (
        "low high suggested verdict reason is_fallback width_decades original_width_decades num_trials num_diverged"
    ),
    "data": "split is_held_out class_weight notes brings_batches",
    "narrowing": "original_decades searched_decades num_diverged",
    "cost": "range_test_steps range_test_seconds trial_steps trial_seconds epochs epochs_saved cuts retraining",
    "cost.epochs_saved": "completed pruned diverged",
    "cost.cuts": "could_cut cut steps_saved",
    "cost.retraining": "trainings steps epochs seconds",
}


@pytest.fixture(scope="module")
def summary():
    report = StageReport(
        RANGE_TEST,
        SearchSpace.from_bounds(RANGE_TEST.bounds),
        (BEST,),
        BEST,
        check_overfitting(BEST.train_losses, BEST.val_losses),
        summary={},
        summary_path=Path("summary.json"),
        retrained=(Retrained(BEST, (Training("seed 1", BEST),), ()),),
        edge=EDGE,
        widened=(EDGE,),
    )
    models = SavedModels(
        Saved("best/model.keras"),
        test={"loss": math.inf},
        refitted=RefittedModel("best/refitted.keras", 2, 0.5, {"loss": 0.7}),
        top=(TopModel(0, 0.5, "best/model.keras"),),
    )
    return summarise(report, models)


def is_valid(summary):
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema_of("summary")))).is_valid(summary)


def at(place, data):
    for key in filter(None, place.split(".")):
        data = data[int(key) if isinstance(data, list) else key]
    return data


@pytest.mark.parametrize("place", KEYS)
def test_a_summary_has_these_keys(summary, place):
    assert set(at(place, summary)) == set(KEYS[place].split())


def test_a_summary_is_plain_data_that_fits_its_schema(summary):
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert is_valid(summary)
    assert (summary["best"]["train_losses"], summary["best"]["test"]) == ([1.0, None], {"loss": None})
    assert (summary["best"]["state"], summary["widened"][0]["edge"]) == ("completed", "high")


@pytest.mark.parametrize("place", KEYS)
def test_a_summary_without_one_of_its_keys_does_not_fit_its_schema(summary, place):
    for key in KEYS[place].split():
        broken = json.loads(json.dumps(summary))
        del at(place, broken)[key]
        assert not is_valid(broken), f"{place}.{key}"


@pytest.mark.parametrize("place", KEYS)
def test_only_the_best_trial_may_have_another_key(summary, place):
    changed = json.loads(json.dumps(summary))
    at(place, changed)["surprise"] = {}

    assert is_valid(changed) == (place == "best")


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("best.parameters", "optimizer"),
        ("best.parameters", "schedule"),
        ("best.parameters", "batch_size"),
        ("num_trials", "ended"),
    ],
)
def test_what_has_keys_of_any_name_has_these_at_least(summary, place, key):
    broken = json.loads(json.dumps(summary))
    del at(place, broken)[key]

    assert not is_valid(broken)


def test_bounds_of_an_older_file_fit_their_schema():
    """They have neither a monitor nor a number of steps."""
    older = RANGE_TEST.to_dict()
    for name in ("monitor", "monitored", "num_steps"):
        del older["curves"]["sgd"][0][name]

    jsonschema.Draft202012Validator(schema_of("bounds")).validate(older)
    assert RangeTestResult.from_dict(older).bounds == RANGE_TEST.bounds
    del older["curves"]["sgd"][0]["stop"]
    with pytest.raises(jsonschema.ValidationError, match="'stop' is a required property"):
        jsonschema.Draft202012Validator(schema_of("bounds")).validate(older)
