"""The example of a HyperModel runs through `lrrt run`, in a small form, to a best model that can be loaded and used."""

import csv
import json
import re
import sys

import keras
import pytest
from typer.testing import CliRunner

from pipeline.cli import app

pytestmark = pytest.mark.usefixtures("blank_pictures")

SMALL = '[study]\nnum_trials = 3\nepochs = 2\nschedules = ["fixed"]\ntop_retrained = 0\n'


@pytest.fixture
def examples(pytestconfig, monkeypatch):
    folder = pytestconfig.rootpath / "examples"
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("layers", None)


@pytest.mark.parametrize("engine", ["optuna", pytest.param("keras_tuner", marks=pytest.mark.long)])
def test_a_hyper_model_with_a_loop_of_layers_is_searched_to_a_best_model(engine, examples, tmp_path):
    text = (examples / "layers.toml").read_text().partition("[study]")[0]
    text = re.sub(r"\[range_test\]\n", "[range_test]\nnum_steps = 40\nrepeats = 1\n", text)
    (tmp_path / "small.toml").write_text(f'{text}{SMALL}engine = "{engine}"\n')
    out = tmp_path / "out"
    arguments = ["run", str(tmp_path / "small.toml"), "--out", str(out), "--state", str(tmp_path / "state")]
    ended = CliRunner().invoke(app, [*arguments, "--app-dir", str(examples)], prog_name="lrrt")

    assert ended.exit_code == 0, ended.stderr
    assert "hyperparameter 'learning_rate' of the model is not searched" in ended.stderr
    assert "Hyperparameter &#39;learning_rate&#39; of the model is not searched" in (out / "report.html").read_text()
    best = json.loads((out / "summary.json").read_text())["best"]
    model = keras.saving.load_model(out / best["model_file"])
    own = best["parameters"]
    widths = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert widths == [*(own[f"units_{number}"] for number in range(own["layers"])), 1]
    assert "learning_rate" not in own
    with (out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all((row.get("units_2", "") != "") == (row["layers"] == "3") for row in rows)
    assert all((row.get("rate", "") != "") == (row["dropout"] == "True") for row in rows)
