"""Kills and signals at random moments: the same command goes on and ends as if undisturbed."""

import os
import random
import signal
import time

import pytest

from tests.faults.commands import ENGINES, command, ended, states, trials

NUM_MOMENTS = int(os.environ.get("LRRT_FAULTS_MOMENTS", "9"))  # for each engine and signal
NUM_ANEW = 2  # of them are of a command that imports all, and draws all its pictures


@pytest.mark.long
@pytest.mark.parametrize("moment", range(NUM_MOMENTS))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_is_stopped_at_any_moment_goes_on_and_ends_as_one_that_was_not(
    undisturbed, tmp_path, engine, number, moment
):
    anew = moment < NUM_ANEW
    whole, seconds = undisturbed(engine, anew=anew)
    process = command(tmp_path, engine=engine, anew=anew)
    time.sleep(random.Random(f"{engine} {number} {moment}").uniform(0, seconds))
    process.send_signal(number)
    code, told = ended(process)

    assert code in (0, -number, 128 + number), told
    assert "Traceback" not in told
    assert ended(command(tmp_path, engine=engine))[0] == 0
    assert trials(tmp_path) == whole
    assert "RUNNING" not in states(tmp_path)
