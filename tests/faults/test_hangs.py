"""Nothing hangs: a signal, a second signal or the end of the time leaves whatever runs."""

import os
import signal
import subprocess
import sys
import time
import tomllib

import pytest
import tensorflow as tf

from lrrt import counting
from lrrt.batches import as_batches
from pipeline.config import given_file
from pipeline.config.tables import StageConfig
from pipeline.config.toml import load_config, template
from pipeline.failures import ConfigError
from tests.faults.tasks import read_faults

ENDLESS = """
import time
def endless():
    print("counting", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.02)  # TensorFlow waits for it when Python ends
        yield X[:8], Y[:8]

def load_data():
    return {**DATA, "%s": dataset(endless)}
"""
CONFIG = """
[task]
build_model = "faulty_task:build_model"
load_data = "faulty_task:load_data"
[range_test]
optimizers = ["sgd"]
[study]
batch_sizes = [8]
"""


@pytest.fixture
def start(tmp_path, pytestconfig):
    """Start a command in a folder with a task and its config; kill it at the end."""
    started = []

    def start(words, code=""):
        (tmp_path / "faulty_task.py").write_text(f"{read_faults()[0]}\n{code}")
        (tmp_path / "search.toml").write_text(CONFIG)
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process, word):
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"{word!r} was not said")


@pytest.mark.parametrize("limit", ["MOST_BATCHES", "LONGEST_S"])
def test_a_dataset_without_an_end_is_not_counted_for_ever(monkeypatch, limit):
    monkeypatch.setattr(counting, limit, 3)

    def endless():
        while True:
            time.sleep(0.001)
            yield [0.0]

    dataset = tf.data.Dataset.from_generator(endless, output_signature=tf.TensorSpec([1]))
    with pytest.raises(ValueError, match=r"must have an end that can be found, but \d+ batches .* steps_per_epoch"):
        _ = as_batches(dataset, 1).num_batches


def test_a_long_count_says_what_it_does_and_what_helps_if_there_is_no_end(monkeypatch, caplog):
    monkeypatch.setattr(counting, "QUIET_S", 0.0)
    dataset = tf.data.Dataset.range(5).filter(lambda number: number < 3).batch(1)

    assert as_batches(dataset, 1).num_batches == 3
    (record,) = caplog.records
    assert "does not say how many batches it has, so they are counted: 1 in 0 s" in record.getMessage()
    assert "steps_per_epoch in [task]" in record.getMessage()


def test_a_dataset_of_unknown_length_is_counted():
    dataset = tf.data.Dataset.from_tensor_slices({"a": list(range(10))}).filter(lambda row: row["a"] > 3).batch(4)
    assert as_batches(dataset, 1).num_batches == 2


@pytest.mark.long
@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize(
    ("options", "number", "code"), [([], signal.SIGTERM, 143), ([], signal.SIGINT, 130), (["--max-time=25s"], None, 75)]
)
def test_the_count_of_endless_data_is_ended_by_signals_and_by_the_time(start, part, options, number, code):
    process = start(["-m", "pipeline", "run", "search.toml", *options], ENDLESS % part)
    if number is not None:
        wait_for(process, "counting")
        time.sleep(1)
        process.send_signal(number)

    told = process.communicate(timeout=60)[0]
    assert process.returncode == code, told
    assert "Traceback" not in told


def test_a_pipe_that_nobody_writes_to_is_no_config(monkeypatch, tmp_path):
    monkeypatch.setattr(given_file, "WAIT_S", 0.2)
    os.mkfifo(tmp_path / "search.toml")
    with pytest.raises(
        ConfigError, match=r"cannot be read: it is a pipe or a device that did not bring its end in 0\.2 s"
    ):
        load_config(tmp_path / "search.toml")


def test_a_config_may_come_through_a_pipe():
    ours, theirs = os.pipe()
    with open(theirs, "w") as writer:
        writer.write(template())
    assert load_config(f"/dev/fd/{ours}", environ={}) == StageConfig.model_validate(tomllib.loads(template()))
    os.close(ours)
