"""The example of a time series runs through `lrrt run`, in a small form, to a best model that can be loaded."""

import json
import sys

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli import app

pytestmark = pytest.mark.usefixtures("blank_pictures")

SMALL = """
[range_test]
optimizers = ["adam"]
num_steps = 60
repeats = 1

[study]
num_trials = 2
epochs = 3
schedules = ["fixed"]
top_retrained = 0
"""


@pytest.fixture
def examples(pytestconfig, monkeypatch):
    folder = pytestconfig.rootpath / "examples"
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("series", None)


def test_an_lstm_on_a_time_series_is_searched_to_a_best_model(examples, tmp_path):
    (tmp_path / "small.toml").write_text((examples / "series.toml").read_text().partition("[range_test]")[0] + SMALL)
    out = tmp_path / "out"
    arguments = ["run", str(tmp_path / "small.toml"), "--out", str(out), "--state", str(tmp_path / "state")]
    ended = CliRunner().invoke(app, [*arguments, "--app-dir", str(examples)], prog_name="lrrt")
    assert ended.exit_code == 0, ended.stderr

    import series

    best = json.loads((out / "summary.json").read_text())["best"]
    model = keras.saving.load_model(out / best["model_file"])
    x, y = series.load_data()["validation"]
    constant = best["evaluation"]["constant"]
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(best["score"], rel=1e-4)
    assert constant["answer"] == "the mean of the labels"
    assert constant["loss"] == pytest.approx(np.var(y), rel=1e-4)
    assert best["score"] < constant["loss"]
    assert best["loading_code"] == 'import keras; model = keras.saving.load_model("best/model.keras")'
