"""Shows that each way for a command to end has its exit code, in this process; kills from outside are in command.sh."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from studies.storage import database as storages

pytestmark = pytest.mark.usefixtures("blank_pictures")

TASKS = """
import keras, numpy as np
from pipeline.digits_example import build_model, load_data

def model(*layers, loss="sparse_categorical_crossentropy"):
    made = keras.Sequential([keras.layers.Input((64,)), *layers])
    made.compile("sgd", loss)
    return made

class Unvalidated(keras.layers.Layer):
    def call(self, inputs, training=False):
        return inputs if training else inputs * np.nan

def never_finite():
    return model(keras.layers.Dense(10), loss=lambda y, p: keras.ops.log(-keras.ops.mean(p ** 2)))

def never_valid():
    return model(keras.layers.Dense(10, activation="softmax"), Unvalidated())

def large():
    return model(keras.layers.Dense(256, activation="relu"), keras.layers.Dense(10, activation="softmax"))

def noise():
    rng = np.random.default_rng(0)
    part = lambda n: (rng.normal(size=(n, 64)).astype("float32"), rng.integers(0, 10, n))
    return {"train": part(128), "validation": part(128)}

def raising():
    raise ZeroDivisionError("my own mistake")
"""
CONFIG = """
[task]
build_model = "ending_tasks:{model}"
load_data = "ending_tasks:{data}"
[range_test]
optimizers = ["sgd"]
num_steps = 60
repeats = 1
[study]
num_trials = 2
epochs = 12
top_retrained = 0
"""


@pytest.fixture
def lrrt(lrrt, tmp_path, monkeypatch):
    """Run a command beside a config of a task."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ending_tasks", raising=False)  # of another test's folder
    (tmp_path / "ending_tasks.py").write_text(TASKS)

    def on_task(*arguments, model="build_model", data="load_data"):
        Path("search.toml").write_text(CONFIG.format(model=model, data=data))
        return lrrt(*arguments)

    return on_task


@pytest.mark.parametrize(
    ("code", "model", "data", "words", "message"),
    [
        (3, "never_finite", "load_data", ["run"], "No optimizer has a learning rate worth"),
        (4, "never_valid", "load_data", ["run"], "None of 2 trials was trained to its end"),
        (5, "large", "noise", ["search", "--range", "adam=0.01:0.02", "--fail-on", "overfit"], "is overfitted: "),
        (65, "build_model", "raising", ["run"], "ZeroDivisionError: my own mistake"),
    ],
)
def test_what_a_task_leads_to_has_its_exit_code(lrrt, code, model, data, words, message):
    ended, shown, said = lrrt(words[0], "search.toml", *words[1:], model=model, data=data)

    assert (ended, shown == "") == (code, code != 5)
    assert message in said


def test_a_config_that_is_no_toml_ends_with_2(lrrt, tmp_path):
    (tmp_path / "broken.toml").write_text("[study\n")

    assert lrrt("validate", "search.toml")[0] == 0
    assert lrrt("validate", "broken.toml")[0] == 2


def test_a_fault_of_lrrt_ends_with_70_and_says_that_it_is_one(lrrt, monkeypatch):
    monkeypatch.setattr("tomllib.loads", partial(getattr, "no function of the task's"))
    code, _, said = lrrt("validate", "search.toml")

    assert code == 70
    assert "this is a fault of lrrt, please report it: AttributeError: 'str' object has no attribute" in said


@pytest.mark.parametrize("leaves", [SystemExit(0), KeyboardInterrupt(), ZeroDivisionError("mine")], ids=repr)
def test_what_the_tasks_code_raises_where_nothing_guards_it_is_its_own_fault(lrrt, monkeypatch, leaves):
    def leave(text):
        raise leaves

    monkeypatch.setattr("tomllib.loads", leave)
    code, _, said = lrrt("validate", "search.toml")

    assert code == 65
    assert f"The task's code must return to lrrt, but it raised {type(leaves).__name__}" in said
    assert f"({__file__}:" in said


def test_a_storage_that_does_not_answer_ends_with_69(lrrt, monkeypatch):
    monkeypatch.setattr(storages, "OPENING_S", 0.2)
    monkeypatch.setenv("LRRT_STORAGE", "postgresql://nobody@127.0.0.1:1/none")
    code, _, said = lrrt("status", "search.toml")

    assert code == 69
    assert "storage cannot be reached" in said


def test_a_run_whose_time_is_used_up_ends_with_75(lrrt):
    code, shown, said = lrrt("run", "search.toml", "--max-time", "0.01s")

    assert (code, shown) == (75, "")
    assert "its time is used up; run the same command again to go on" in said


@pytest.mark.parametrize(
    ("number", "code", "by"), [(signal.SIGINT, 130, "by Ctrl-C"), (signal.SIGTERM, 143, "by SIGTERM")]
)
def test_a_run_that_gets_a_signal_ends_with_its_code(lrrt, monkeypatch, number, code, by):
    monkeypatch.setattr("pipeline.task.preparation.import_keras", lambda: os.kill(os.getpid(), number))
    ended, shown, said = lrrt("run", "search.toml")

    assert (ended, shown) == (code, "")
    assert f"stopped {by}; run the same command again to go on" in said


@pytest.mark.parametrize("kind", [SystemError, RuntimeError])
def test_a_stop_that_code_in_c_has_turned_into_its_own_error_is_a_stop(lrrt, monkeypatch, kind):
    def read(text):
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException:
            raise kind("error_already_set") from None

    monkeypatch.setattr("tomllib.loads", read)
    code, _, said = lrrt("run", "search.toml")

    assert (code, said) == (130, "lrrt: stopped by Ctrl-C; run the same command again to go on.\n")


def test_a_run_of_another_config_ends_with_73_and_broken_state_with_74(lrrt, tmp_path, on_bowl):
    assert lrrt("range", "search.toml")[:2] == (0, "out/range_test/bounds.json\n")
    assert lrrt("run", "search.toml", "--trials", "1", "--max-time", "1h")[0] == 0
    code, _, said = lrrt("run", "search.toml", "--seed", "7")
    assert code == 73
    assert "study.seed: was 0, now 7" in said

    (tmp_path / "state/fingerprint.json").write_text("{")
    assert lrrt("run", "search.toml")[0] == 74


AMID_AN_IMPORT = """
import signal, sys

class Finder:
    def find_spec(self, name, *others):
        if name == "{module}":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
sys.argv = ["lrrt", "run"]
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
from pipeline.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["typer._click.globals", "numpy._core._multiarray_umath"])
def test_ctrl_c_amid_an_import_of_a_command_ends_it_with_130_and_one_line(pytestconfig, tmp_path, module):
    """What was half imported, as NumPy, cannot be imported again."""
    ended = subprocess.run(
        [sys.executable, "-c", AMID_AN_IMPORT.format(module=module)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
        capture_output=True,
        text=True,
        check=False,
    )
    told = "lrrt: stopped by Ctrl-C; run the same command again to go on.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", told)
