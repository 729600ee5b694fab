"""Kills and signals at random moments, and full disks: the same command goes on and ends as if undisturbed."""

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
import typer

from pipeline.commands.failures import exit_codes
from tests.faults.runs import CONFIG

NUM_MOMENTS = int(os.environ.get("LRRT_FAULTS_MOMENTS", "12"))  # for each engine and signal
ENGINES = {"optuna": "tpe", "keras_tuner": "random"}


@pytest.fixture(scope="module")
def command(pytestconfig):
    """Start `lrrt run` in a folder."""

    def start(folder, engine="optuna", limit_bytes=None):
        folder.mkdir(exist_ok=True)
        values = {**CONFIG, "study.engine": engine, "study.sampler": ENGINES[engine], "study.num_trials": 3}
        names = {f"LRRT_{key.replace('.', '__').upper()}": json.dumps(value) for key, value in values.items()}

        def limited():
            if limit_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))

        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", "--progress", "plain"],
            cwd=folder,
            env={**os.environ, **names, "PYTHONPATH": str(pytestconfig.rootpath)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limited,
        )

    return start


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    """Return the trials and the seconds of an undisturbed run of each engine."""
    runs = {}

    def of(engine):
        if engine not in runs:
            folder, began = tmp_path_factory.mktemp("whole"), time.monotonic()
            _, told = _ended(command(folder, engine))
            runs[engine] = trials(folder), time.monotonic() - began, told
        return runs[engine]

    return of


def _ended(process):
    told = process.communicate(timeout=600)[1]
    return process.returncode, told


def trials(folder):
    lines = [json.loads(line) for line in (folder / "out/trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def states(folder):
    with sqlite3.connect(folder / "state/study.db") as connection:
        return {state for (state,) in connection.execute("SELECT DISTINCT state FROM trials")}


@pytest.mark.long
@pytest.mark.parametrize("moment", range(NUM_MOMENTS))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_is_stopped_at_any_moment_goes_on_and_ends_as_one_that_was_not(
    command, undisturbed, tmp_path, engine, number, moment
):
    whole, seconds, _ = undisturbed(engine)
    process = command(tmp_path, engine)
    time.sleep(random.Random(f"{engine} {number} {moment}").uniform(0, seconds))
    process.send_signal(number)
    code, told = _ended(process)

    assert code in (0, -number, 128 + number), told
    assert "Traceback" not in told
    assert _ended(command(tmp_path, engine))[0] == 0
    assert trials(tmp_path) == whole
    assert "RUNNING" not in states(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("limit_bytes", [1, 1_000, 5_000, 20_000, 60_000, 120_000, 200_000])
def test_a_limit_of_file_sizes_ends_with_74_and_the_remedy_and_without_it_the_run_goes_on(
    command, undisturbed, tmp_path, limit_bytes
):
    whole, _, _ = undisturbed("optuna")
    code, told = _ended(command(tmp_path, limit_bytes=limit_bytes))

    assert "Traceback" not in told
    assert code == 0 or (code == 74 and "then run the same command again to go on" in told), told
    code, told = _ended(command(tmp_path))
    assert code == 0, told
    assert trials(tmp_path) == whole


def test_a_disk_that_is_full_is_said_with_the_remedy(capsys):
    failure = OSError(28, "No space left on device", "out/trials.csv")
    with pytest.raises(typer.Exit) as caught, exit_codes(verbose=False):
        raise failure

    assert caught.value.exit_code == 74
    told = capsys.readouterr().err
    assert "lrrt: the disk is full" in told
    assert "Make room, then run the same command again to go on." in told
