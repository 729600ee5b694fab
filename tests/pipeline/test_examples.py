"""Each example runs through `lrrt run`, in a small form, to a best model that can be loaded and used."""

import json
import re
import sys

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from lrrt.batches import as_batches
from pipeline.cli import app
from pipeline.task.loading import load_task

pytestmark = pytest.mark.usefixtures("blank_pictures")

SMALL = {"num_trials": 2, "epochs": 6, "schedules": '["fixed"]', "top_retrained": 0}
SMALL_TEST = '[range_test]\nnum_steps = 60\nrepeats = 1\noptimizers = ["adam"]\n'


@pytest.fixture
def run(pytestconfig, tmp_path, monkeypatch):
    """Run an example in its small form; return its summary, its best model and its task."""
    examples = pytestconfig.rootpath / "examples"
    monkeypatch.syspath_prepend(examples)

    def run(name):
        text = (examples / f"{name}.toml").read_text()
        text = re.sub(r"\[range_test\]\n.*\n", SMALL_TEST, text).partition("[study]")[0]
        (tmp_path / "small.toml").write_text(text + "[study]\n" + "".join(f"{k} = {v}\n" for k, v in SMALL.items()))
        out, state = str(tmp_path / "out"), str(tmp_path / "state")
        arguments = ["run", str(tmp_path / "small.toml"), "--out", out, "--state", state]
        ended = CliRunner().invoke(app, [*arguments, "--app-dir", str(examples)], prog_name="lrrt")
        assert ended.exit_code == 0, ended.stderr
        assert "Warning" not in ended.stderr
        summary = json.loads((tmp_path / "out/summary.json").read_text())
        model = keras.saving.load_model(tmp_path / "out" / summary["best"]["model_file"])
        return summary, model, load_task(f"{name}:build_model", f"{name}:load_data")

    yield run
    for name in ("texts", "titanic", "autoencoder"):
        sys.modules.pop(name, None)


def validation_loss(model, task):
    data = as_batches(task.validation, 32)
    data = data.with_batch_size(data.num_samples)
    return model.evaluate(*data.sample(data.num_samples), verbose=0, return_dict=True)["loss"]


def test_a_model_that_reads_text_is_searched_and_tells_the_package_of_a_new_text(run):
    summary, model, task = run("texts")

    assert validation_loss(model, task) == pytest.approx(summary["best"]["score"], rel=1e-4)
    assert summary["best"]["test"]["accuracy"] > 0.4
    text = "Wait for the single Future or coroutine to complete, with timeout, in the event loop."
    assert np.argmax(model.predict(np.array([text], object), verbose=0)) == 0


def test_a_table_with_text_and_missing_values_is_searched(run):
    summary, model, task = run("titanic")

    assert validation_loss(model, task) == pytest.approx(summary["best"]["score"], rel=1e-4)
    assert summary["best"]["score"] < 0.6  # always saying how many survive: 0.66


def test_an_autoencoder_with_a_step_of_its_own_is_searched_and_draws(run):
    summary, model, task = run("autoencoder")
    loss, _ = model.losses_of(np.array(task.validation))

    assert float(loss) == pytest.approx(summary["best"]["score"], rel=0.05)
    assert model.decoder(np.zeros((1, 2), "float32")).shape == (1, 64)
