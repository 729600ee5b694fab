"""A task that leaves by `os._exit` ends the command as a fault of the task, whatever code it gives."""

import os
import subprocess
import sys
import warnings

import pytest

from pipeline.console.early_exit import let_warnings_be_no_errors
from tests.starter import STARTER

CONFIG = '[task]\nbuild_model = "leaves:build_model"\nload_data = "leaves:load_data"\n'
LEAVES = "The task's code must return to lrrt, but it left by os._exit(0)"
FORKS = """
import os
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
raise OSError("after the fork")
"""


def validate(folder, code):
    (folder / "leaves.py").write_text(code)
    (folder / "search.toml").write_text(CONFIG)
    return STARTER.run(["validate", "search.toml"], folder=folder)


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("import os\nos._exit(0)", "leaves.py:2)"),
        ("import os, threading\nthreading.Thread(target=os._exit, args=(0,)).start()\nthreading.Event().wait()", ")"),
        ("import atexit, os\natexit.register(os._exit, 0)\nraise OSError", ""),
    ],
    ids=["at import", "in a thread", "as an exit handler"],
)
def test_a_task_that_leaves_by_os_exit_with_0_ends_with_65_and_a_sentence(tmp_path, code, place):
    ended = validate(tmp_path, code)

    assert ended.returncode == 65
    assert ended.stdout == ""
    last = ended.stderr.splitlines()[-1]
    assert LEAVES in last
    assert last.endswith(f"{place}.")


def test_a_process_that_a_task_forks_ends_as_it_wants_to(tmp_path):
    ended = validate(tmp_path, FORKS)

    assert LEAVES not in ended.stderr
    assert "after the fork" in ended.stderr


GRAPH = "lrrt: The task's code must leave TensorFlow's eager mode on, as Keras needs it, but turned it off"
DELETED = "class Feeder:\n    def __del__(self): raise KeyError('gone')\nFeeder()"
GOOD = "import os, sys, threading\ndef build_model(): raise OSError('built')\ndef load_data(): pass\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import tensorflow as tf\ntf.compat.v1.disable_eager_execution()", GRAPH),
        ("sys.setrecursionlimit(150)", "raised OSError: built"),
        ("os.fork()", "raised OSError: built"),
        ("threading.Thread(target=lambda: 1 / 0, name='feeder').start()", "feeder ended early: it raised ZeroDivision"),
        (
            "import atexit\natexit.register(lambda: 1 / 0)",
            "an exit handler raised ZeroDivisionError: division by zero (",
        ),
        (DELETED, "A destructor or an exit handler raised KeyError: 'gone' ("),
    ],
    ids=["graph mode", "recursion", "fork", "thread", "exit handler", "destructor"],
)
def test_what_a_task_does_to_the_whole_process_is_put_back_or_said_once(tmp_path, code, words):
    ended = validate(tmp_path, f"{GOOD}{code}")

    assert ended.returncode == 65
    assert ended.stderr.count(words) == 1, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("words", ["--help", "--version", "init", "schema config", "status --state nothing-here"])
def test_a_short_command_ends_without_a_word_of_how_it_ends(words, tmp_path, pytestconfig):
    """Such a command has imported little of lrrt when it leaves, and by then Python imports no threads any more."""
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", *words.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("words", ["--help", "--version", "init", "schema config"])
def test_a_short_answer_that_cannot_be_written_is_no_success(words):
    """Its message cannot be written either."""
    with open("/dev/full", "w") as full:
        command = STARTER.start(words.split(), output=full)
        assert command.wait(60) == 74


def test_warnings_that_the_environment_makes_errors_are_warnings():
    with warnings.catch_warnings(record=True):
        before = [one for one in warnings.filters if one[0] != "error"]
        warnings.simplefilter("error")
        let_warnings_be_no_errors()
        warnings.warn("of a library", FutureWarning, stacklevel=1)
        assert list(warnings.filters) == before
