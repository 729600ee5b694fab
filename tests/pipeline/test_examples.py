"""Each example is written by `lrrt init --example`, is valid, and runs in a small form to a model that can be used."""

import json
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from lrrt.batches import as_batches
from pipeline.cli import app
from pipeline.task.example_files import example_names
from pipeline.task.loading import load_task

pytestmark = pytest.mark.usefixtures("blank_pictures")

SMALL = {"num_trials": 2, "epochs": 6, "schedules": '["fixed"]', "top_retrained": 0}
SMALL_TEST = '[range_test]\nnum_steps = 60\nrepeats = 1\noptimizers = ["adam"]\n'


@pytest.fixture
def lrrt(tmp_path, monkeypatch):
    """Run the command in an empty folder, in which modules of examples are imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda *words: CliRunner().invoke(app, words, prog_name="lrrt")
    for name in (*example_names(), "convnet"):
        sys.modules.pop(name, None)


@pytest.fixture
def run(lrrt):
    """Run an example in its small form; return its summary, its best model and its task."""

    def run(name):
        config = Path(lrrt("init", "--example", name).stdout.strip())
        text = re.sub(r"\[range_test\]\n.*\n", SMALL_TEST, config.read_text()).partition("[study]")[0]
        config.write_text(text + "[study]\n" + "".join(f"{k} = {v}\n" for k, v in SMALL.items()))
        ended = lrrt("run", str(config))
        assert ended.exit_code == 0, ended.stderr
        assert "Warning" not in ended.stderr
        assert "MAY BE TOO GOOD" not in ended.stderr  # what is ours gives no reason to doubt
        summary = json.loads(Path("out/summary.json").read_text())
        model = keras.saving.load_model(Path("out", summary["best"]["model_file"]))
        return summary, model, load_task(f"{name}:build_model", f"{name}:load_data")

    return run


@pytest.mark.parametrize("name", example_names())
def test_each_example_is_written_with_all_that_it_imports_and_is_valid(name, lrrt):
    written = lrrt("init", "--example", name)
    assert (written.exit_code, written.stdout) == (0, f"{name}.toml\n")
    checked = lrrt("validate", f"{name}.toml")
    assert checked.exit_code == 0, checked.stderr
    assert f"lrrt init --example {name} && lrrt run {name}.toml" in Path(f"{name}.py").read_text()
    assert name in lrrt("init", "--help").stdout


def test_an_example_overwrites_nothing_and_must_be_one_that_there_is(lrrt):
    Path("convnet.py").write_text("mine")
    refused = lrrt("init", "--example", "mnist")
    assert (refused.exit_code, [path.name for path in Path().iterdir()]) == (2, ["convnet.py"])
    assert "convnet.py is there" in refused.stderr
    unknown = lrrt("init", "--example", "mnistt")
    assert unknown.exit_code == 2
    assert "must be one of autoencoder," in " ".join(unknown.stderr.split())


@pytest.mark.parametrize(
    ("argument", "meant"), [("search.toml", "lrrt init > search.toml"), ("titanic", "lrrt init --example titanic")]
)
def test_an_argument_of_init_is_answered_with_what_it_may_mean(lrrt, argument, meant):
    refused = lrrt("init", argument)

    assert (refused.exit_code, list(Path().iterdir())) == (2, [])
    assert f"Did you mean `{meant}`?" in " ".join(refused.stderr.split())


def test_a_folder_may_hold_examples_that_share_a_module(lrrt):
    for name in ("mnist", "fashion_mnist"):
        assert lrrt("init", "--example", name).exit_code == 0
    assert {path.name for path in Path().iterdir()} >= {"mnist.py", "fashion_mnist.py", "convnet.py"}


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


def test_an_lstm_on_a_time_series_is_searched_to_a_model_that_beats_a_constant_answer(run):
    summary, model, task = run("series")
    best = summary["best"]
    constant = best["evaluation"]["constant"]

    assert validation_loss(model, task) == pytest.approx(best["score"], rel=1e-4)
    assert constant["answer"] == "the mean of the labels"
    assert constant["loss"] == pytest.approx(np.var(task.validation[1]), rel=1e-4)
    assert best["score"] < constant["loss"]
    assert best["loading_code"] == 'import keras; model = keras.saving.load_model("best/model.keras")'


def test_a_table_with_text_and_missing_values_is_searched(run):
    summary, model, task = run("titanic")

    assert validation_loss(model, task) == pytest.approx(summary["best"]["score"], rel=1e-4)
    assert summary["best"]["score"] < 0.6  # always saying how many survive: 0.66


def test_an_autoencoder_with_a_step_of_its_own_is_searched_and_draws(run):
    summary, model, task = run("autoencoder")
    loss, _ = model.losses_of(np.array(task.validation))

    assert float(loss) == pytest.approx(summary["best"]["score"], rel=0.05)
    assert model.decoder(np.zeros((1, 2), "float32")).shape == (1, 64)
