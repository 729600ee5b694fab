"""Names, values and messages of others may hold anything: no file and no line of a run computes, runs or hides it."""

import csv
import json
from html.parser import HTMLParser

import pytest

from tests.starter import STARTER

pytestmark = pytest.mark.long
HOSTILE = "=cmd|' /C x'!A0<script>alert(1)</script><img src=x onerror=y>\x1b[2J\u202e\r\n]]>{{7*7}}%s"
TASK = f"""
import keras
from pipeline.digits_example import load_data as digits

HOSTILE = {HOSTILE!r}

def build_model(hp):
    value = hp.Choice(HOSTILE, [HOSTILE, "@SUM(1)"])
    if value != HOSTILE:
        raise ValueError(HOSTILE)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, "softmax")], name="m")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[keras.metrics.SparseCategoricalAccuracy(HOSTILE)])
    return model

def load_data():
    return digits()
"""
CONFIG = """
[task]
build_model = "hostile_task:build_model"
load_data = "hostile_task:load_data"
[range_test]
optimizers = ["sgd"]
num_steps = 60
repeats = 1
[study]
num_trials = 6
epochs = 2
top_retrained = 0
"""


class Tags(HTMLParser):
    """The tags of a page, and attributes that run code."""

    def __init__(self):
        super().__init__()
        self.scripts, self.handlers = [], []

    def handle_starttag(self, tag, attrs):
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag == "script":
            self.scripts.append(attrs)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a run with hostile text in all places, and what its command printed."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "hostile_task.py").write_text(TASK)
    (folder / "search.toml").write_text(CONFIG)
    ended = STARTER.run(["run", "search.toml", "--progress", "plain"], folder=folder, draws=True)
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout + ended.stderr


def is_shown_safely(text):
    return all(letter.isprintable() or letter == "\n" for letter in text)


def test_no_line_on_the_terminal_moves_a_cursor(ran):
    assert is_shown_safely(ran[1])


@pytest.mark.parametrize("name", ["trials.csv", "range_test/curves.csv"])
def test_no_cell_of_a_table_is_computed(ran, name):
    text = (ran[0] / "out" / name).read_text()
    assert is_shown_safely(text)
    cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
    assert [cell for cell in cells if cell[:1] in tuple("=+@\t\r")] == []


def test_the_failed_trials_are_in_the_table_with_their_error(ran):
    rows = [json.loads(line) for line in (ran[0] / "out/trials.jsonl").read_text().splitlines()]
    errors = {row["error"] for row in rows if row["state"] == "failed"}
    assert all("alert(1)" in error and is_shown_safely(error) for error in errors)
    assert errors


def test_no_text_of_others_runs_in_the_page(ran):
    text = (ran[0] / "out/report.html").read_text()
    tags = Tags()
    tags.feed(text)

    assert is_shown_safely(text)
    assert "<script>alert" not in text
    assert tags.handlers == []
    assert "49%s" not in text


def test_every_text_file_of_the_results_can_be_shown(ran):
    for path in (ran[0] / "out").rglob("*"):
        if path.suffix in (".csv", ".html", ".svg", ".toml", ".json", ".jsonl"):
            assert is_shown_safely(path.read_text()), path
