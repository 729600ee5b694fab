"""A study of 2,000 trials: what it holds and what a trial costs do not grow with the trials that have ended."""

import os
from contextlib import contextmanager
from itertools import pairwise

import pytest
import sqlalchemy

from pipeline.console.events import TrialDone
from pipeline.report.status import read_status
from pipeline.stage import go_on, rewrite_report
from tests.faults.runs import config_of
from tests.pipeline.bowl_task import bowl_run

NUM_TRIALS = 2000
NUM_LOOKS = 4
PAGE = os.sysconf("SC_PAGESIZE")


def config(num_trials):
    return config_of(study__num_trials=num_trials, study__sampler="random")


@contextmanager
def statements():
    """Count what is asked of databases while the block runs."""
    counted = []

    def count(connection, cursor, statement, *others):
        counted.append(statement)

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", count)
    try:
        yield counted
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", count)


def memory_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE / 2**20


def looks_of(folder, num_trials):
    """Run a stage; return memory, open files and statements so far at a few equal distances."""
    looks, num_ended = [], 0

    def look(event):
        nonlocal num_ended
        if isinstance(event, TrialDone):
            num_ended += 1
            if num_ended % (num_trials // NUM_LOOKS) == 0:
                looks.append((memory_mb(), len(os.listdir("/proc/self/fd")), len(asked)))

    with statements() as asked:
        go_on(bowl_run(config(num_trials), folder, on_event=look))
    return looks


def cost_of(action):
    with statements() as asked:
        action()
    return len(asked)


@pytest.mark.long
def test_a_study_of_2000_trials_holds_no_more_and_asks_no_more_for_a_trial_than_one_of_a_few(tmp_path):
    first, *_, last = looks = looks_of(tmp_path / "many", NUM_TRIALS)
    asked = [look[2] for look in looks]
    each = [later - earlier for earlier, later in pairwise(asked)]

    assert last[0] - first[0] < 40, "MiB for 1,500 trials"
    assert last[1] == first[1]
    assert max(each) <= 1.05 * min(each)

    looks_of(tmp_path / "few", NUM_LOOKS)
    commands = {
        "status": lambda num, folder: read_status(config(num), out=folder / "out", state=folder / "state"),
        "run": lambda num, folder: go_on(bowl_run(config(num), folder)),
        "report": lambda num, folder: rewrite_report(config(num), out=folder / "out", state=folder / "state"),
    }
    for name, command in commands.items():
        few = cost_of(lambda command=command: command(NUM_LOOKS, tmp_path / "few"))
        many = cost_of(lambda command=command: command(NUM_TRIALS, tmp_path / "many"))
        assert many <= few + 20, name  # Optuna asks for attributes of trials in portions
