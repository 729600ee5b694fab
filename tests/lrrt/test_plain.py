"""Shows that records become plain data and come back, and what is said of data that does not fit."""

import json
import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrrt import Bounds, Case, Ramp, RangeCurve, RangeTestResult, Stop, Verdict
from lrrt.monitor import Monitor
from lrrt.plain import Loss, from_plain, to_plain

RATES = (1e-3, 1e-2)
CURVE = RangeCurve(
    RATES, (1.0, math.nan), Stop.NON_FINITE, 7, Monitor("val_accuracy", 1, is_maximised=True), (0.5, math.inf), 9
)


@dataclass(frozen=True, slots=True)
class Losses:
    losses: tuple[Loss, ...]


@dataclass(frozen=True, slots=True)
class Widths:
    width: float
    others: dict[str, tuple[float, ...]]


@given(st.lists(st.floats()))
def test_losses_come_back_from_json_as_they_were_but_for_what_is_not_finite(losses):
    text = json.dumps(to_plain(Losses(tuple(losses))), allow_nan=False)
    again = from_plain(Losses, json.loads(text)).losses

    assert [loss for loss in again if not math.isnan(loss)] == [loss for loss in losses if math.isfinite(loss)]
    assert [math.isnan(loss) for loss in again] == [not math.isfinite(loss) for loss in losses]


def test_a_number_that_should_have_been_finite_is_null_too():
    assert to_plain(Widths(math.inf, {"sgd": (math.nan, 1.0)})) == {"width": None, "others": {"sgd": [None, 1.0]}}


def test_a_curve_is_written_with_a_name_for_why_it_ended_and_null_for_what_is_not_finite():
    assert to_plain(CURVE) == {
        "lrs": [1e-3, 1e-2],
        "losses": [1.0, None],
        "stop": "non_finite",
        "seed": 7,
        "monitor": {"name": "val_accuracy", "every": 1, "is_maximised": True},
        "monitored": [0.5, None],
        "num_steps": 9,
        "untrained": [],
    }


@pytest.mark.parametrize("member", [*Stop, *Verdict])
def test_a_member_of_an_enum_comes_back_by_its_name(member):
    assert to_plain(member) == member.name.lower()
    assert from_plain(type(member), member.name.lower()) is member


def test_what_follows_from_the_fields_is_written_and_not_read():
    bounds = Bounds(1e-3, 1e-1, 1e-2, Verdict.FOUND, "found")

    assert to_plain(bounds)["decades"] == pytest.approx(2.0)
    assert from_plain(Bounds, to_plain(bounds) | {"decades": 99.0, "of_a_later_version": 1}) == bounds


def test_a_curve_of_an_older_file_has_no_number_of_steps():
    older = {name: value for name, value in to_plain(CURVE).items() if name != "num_steps"}

    assert repr(from_plain(RangeCurve, older)) == repr(replace(CURVE, num_steps=0, monitored=(0.5, math.nan)))


def test_hyperparameters_of_a_case_are_written_by_name():
    case = Case("sgd", "sgd", 32, (("units", 8), ("activation", "relu")))

    assert to_plain(case)["hyperparameters"] == {"units": 8, "activation": "relu"}
    assert from_plain(Case, to_plain(case)) == case


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop": "tired"}, "`stop` does not fit: .*'completed', 'diverged' or 'non_finite'; got 'tired'"),
        ({"losses": ["high", 1.0]}, "`losses.0` does not fit: .*number.*; got 'high'"),
        ({"lrs": [1e-2, 1e-3]}, "`RangeCurve` does not fit: `lrs` must be positive and ascending"),
        ({"monitor": {"every": 0}}, "`monitor` does not fit: A monitor must be measured every 1 or more steps"),
    ],
)
def test_of_data_that_does_not_fit_the_place_the_law_and_the_value_are_said(change, message):
    with pytest.raises(ValueError, match=message):
        from_plain(RangeCurve, to_plain(CURVE) | change)


def test_bounds_of_another_schema_version_are_refused():
    with pytest.raises(ValueError, match="`schema_version` must be 1, got 2"):
        RangeTestResult.from_dict({"schema_version": 2})


def test_bounds_without_versions_are_read():
    """Files that are written by hand have none."""
    bounds = {"sgd": Bounds(1e-3, 1e-1, 1e-2, Verdict.FOUND, "given")}
    result = RangeTestResult({"sgd": ()}, bounds, {"sgd": Case("sgd", "sgd", 32)}, Ramp(), 0)
    by_hand = {name: value for name, value in result.to_dict().items() if name != "versions"}

    assert RangeTestResult.from_dict(by_hand) == result
