"""What the result of a range test says of itself is true, and fits where it is shown."""

import copy
import dataclasses
import json
import pickle

import keras
import numpy as np
import pytest

import lrrt
from lrrt.monitor import Monitor

L = keras.layers
X = np.random.default_rng(0).normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


def run(monitor, metrics=(), optimizers=("sgd", "adam")):
    def build_model():
        model = keras.Sequential([L.Input((6,)), L.Dense(12, "relu"), L.Dense(1, "sigmoid")])
        model.compile("sgd", "binary_crossentropy", metrics=list(metrics))
        return model

    return lrrt.range_test(
        build_model,
        (X, Y),
        optimizers=optimizers,
        batch_size=16,
        repeats=1,
        validation_data=(X, Y),
        monitor=monitor,
        ramp=lrrt.Ramp(1e-4, 10.0, 60),
    )


@pytest.fixture(scope="module")
def of_auc():
    return run("val_auc", [keras.metrics.AUC(name="auc")])


@pytest.fixture(scope="module")
def of_loss():
    return run("loss")


def test_a_metric_is_shown_with_its_own_name_and_sign(of_auc):
    table, sentence = str(of_auc).splitlines()[0], str(of_auc).splitlines()[-1]
    best, other = of_auc.standings()

    assert "highest val_auc" in table
    assert f"{best.label} reached the highest val_auc, {best.best:.4g} at" in sentence
    assert 0.5 < other.best <= best.best <= 1
    assert "highest val_auc" in of_auc._repr_html_()
    assert "loss" not in str(of_auc)


def test_verdicts_on_a_metric_of_which_more_is_better_tell_of_its_fall(of_auc):
    """A ramp that ends while the network still learns leaves the upper end open."""
    curve = of_auc.curves["sgd"][0]
    rising = tuple(0.5 + 0.4 * (lr / curve.lrs[-1]) ** 0.5 for lr in curve.lrs)
    still = lrrt.RangeCurve(curve.lrs, curve.losses, monitor=Monitor("val_auc", is_maximised=True), monitored=rising)

    assert lrrt.find_bounds([still]).reason.startswith("val_auc never fell again, so high is only where the test ended")


def test_a_picture_shows_all_of_a_metric_that_is_larger_than_the_loss(of_auc):
    (axes,) = of_auc.plot().axes
    low, high = axes.get_ylim()

    assert low < high
    assert all(low <= one.best <= high for one in of_auc.standings())
    assert "val_auc" in axes.get_title()


def test_a_metric_of_which_less_is_better_keeps_its_name():
    result = run("mae", ["mae"], ["adam"])

    assert "lowest mae" in str(result)
    assert "adam reached a mae of" in str(result)


def test_a_result_is_asked_for_an_optimizer_by_its_label(of_loss):
    assert of_loss["adam"] is of_loss.bounds["adam"]
    with pytest.raises(KeyError, match="'lion' was not tested; tested were sgd, adam"):
        of_loss["lion"]


def test_a_result_is_one_line_in_a_shell_and_a_table_in_print(of_loss):
    assert len(repr(of_loss).splitlines()) == 1
    assert len(repr(of_loss)) < 120
    assert f"adam {of_loss['adam'].low:.1e} to {of_loss['adam'].high:.1e}" in repr(of_loss)
    assert len(str(of_loss).splitlines()) == 4


def test_results_and_bounds_are_plain_data_for_json(of_loss):
    bounds = json.loads(json.dumps(of_loss["adam"], allow_nan=False))

    assert bounds == of_loss["adam"].to_dict() == json.loads(json.dumps(of_loss.bounds, indent=1))["adam"]
    assert bounds == json.loads(json.dumps(of_loss.to_dict(), allow_nan=False))["bounds"]["adam"]
    assert (bounds["low"], bounds["verdict"]) == (of_loss["adam"].low, of_loss["adam"].verdict.name.lower())


def test_bounds_cannot_be_changed_as_a_mapping_either_and_are_copied_and_stored_whole(of_loss):
    with pytest.raises(TypeError, match=r"dataclasses\.replace"):
        of_loss["adam"]["low"] = 1.0
    with pytest.raises(TypeError, match=r"cannot be changed"):
        of_loss["adam"].update(low=1.0)
    for same in (copy.deepcopy(of_loss["adam"]), pickle.loads(pickle.dumps(of_loss["adam"]))):
        assert (same, json.dumps(same)) == (of_loss["adam"], json.dumps(of_loss["adam"]))


def test_bounds_as_the_standard_library_takes_them_apart_are_json(of_loss):
    bounds = json.loads(json.dumps(dataclasses.asdict(of_loss["adam"])))

    assert bounds["low"] == of_loss["adam"].low
    assert bounds["verdict"] == of_loss["adam"].verdict.value


def test_a_saved_result_is_loaded_as_it_was(of_auc, tmp_path):
    of_auc.save(tmp_path / "bounds.json")

    assert lrrt.RangeTestResult.load(tmp_path / "bounds.json") == of_auc


def test_a_data_frame_has_a_row_for_each_case(of_loss):
    table = of_loss.to_dataframe()

    assert list(table.index) == ["sgd", "adam"]
    assert table.loc["adam", "low"] == of_loss["adam"].low
    assert table.loc["sgd", "batch_size"] == 16
