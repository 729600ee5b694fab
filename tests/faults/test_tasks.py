"""Whatever is wrong with a task, its run ends with the code and the words of the table, never as a fault of ours."""

import os
import re
import signal
import sys
import warnings

import numpy as np
import pytest

import pipeline
from pipeline import StageConfig
from pipeline.commands.failures import exit_codes
from tests.faults.tasks import read_faults

pytestmark = pytest.mark.usefixtures("blank_pictures")

GOOD, ALL = read_faults()
FAULTS = [fault for fault in ALL if fault.kind != "works"]
WORKS = [fault for fault in ALL if fault.kind == "works"]

CONFIG = {
    "task": {"build_model": "faulty_task:build_model", "load_data": "faulty_task:load_data"},
    "range_test": {"optimizers": ["sgd"], "num_steps": 60, "repeats": 1},
    "study": {"num_trials": 1, "epochs": 2, "batch_sizes": [8], "schedules": ["fixed"], "top_retrained": 0},
}


def rows(faults):
    """Return each fault with its name, and those that take long marked so."""
    return [pytest.param(one, id=one.name, marks=[pytest.mark.long] if one.is_long else []) for one in faults]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the stage of a fault as the command does; return the exit code and the message."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, lambda number, frame: None)  # as in the command, Python's own is not set

    def run(fault):
        (tmp_path / "faulty_task.py").write_text(f"{GOOD}\n{fault.code}\n")
        sys.modules.pop("faulty_task", None)
        tables = {name: dict(table) for name, table in CONFIG.items()}
        for key, value in fault.config.items():
            table, _, name = key.partition(".")
            tables[table][name] = value
        try:
            with exit_codes(verbose=False):
                pipeline.run_stage(StageConfig.model_validate(tables))
        except BaseException as ended:
            return getattr(ended, "exit_code", None), capsys.readouterr().err
        return 0, capsys.readouterr().err

    yield run
    signal.signal(signal.SIGINT, before)
    sys.modules.pop("faulty_task", None)


@pytest.mark.parametrize("fault", rows(FAULTS))
def test_a_faulty_task_ends_with_the_code_and_the_words_of_the_table(run, fault):
    code, told = run(fault)
    last = told.splitlines()[-1]

    assert code == fault.exit_code, told[-2000:]
    assert re.search(fault.words, last), last
    assert len(last) < 1500
    assert "Traceback" not in last
    assert last.isprintable()


def what_a_task_may_change():
    return [*warnings.filters], np.geterr(), signal.getsignal(signal.SIGTERM), sys.stdout, sys.stderr


@pytest.mark.parametrize("fault", rows(WORKS))
def test_what_a_task_may_do_changes_nothing_in_the_process(run, fault, tmp_path):
    before = what_a_task_may_change()
    code, told = run(fault)

    assert (code, told) == (0, "")
    assert os.getcwd() == str(tmp_path)
    written = {path.name for path in (tmp_path / "out/best").iterdir()}
    assert "losses.png" in written
    assert written & {"model.keras", "model.weights.h5", "model.weights.npz"}
    assert what_a_task_may_change() == before
