"""Two commands at once: one works, the other says who does, joins, or looks on; nothing is lost or doubled."""

import signal
import time
from contextlib import contextmanager

import pytest

from pipeline.config.toml import template
from tests.faults.commands import command, ended, trials

pytestmark = pytest.mark.long

PLAIN = ("--progress", "plain")
IN_USE = "is in use by"
DURING_A_RUN = {
    "the same folders": ["run"],
    "the same results, another state": ["run", "--state", "other"],
    "the same state, other results": ["run", "--out", "other"],
    "a search during a run": ["search", "search.toml"],
    "range tests during a run": ["range", "search.toml"],
    "an export during a run": ["export", "--trial", "0"],
    "a run with workers during a run": ["run", "--workers", "1"],
}
STARTED = "start:"


def wait_until_it_holds(process):
    """Wait until a run has said that it begins, and so holds its folders."""
    for line in process.stderr:
        if STARTED in line:
            return
    raise AssertionError("it did not begin")


@contextmanager
def standing_still(process):
    """Keep a process from going on while the block runs, so that it cannot end before another one is ready."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("pair", DURING_A_RUN)
def test_of_two_runs_in_one_folder_one_ends_with_73_and_names_the_other(undisturbed, tmp_path, pair):
    (tmp_path / "search.toml").write_text(template())
    first = command(tmp_path, "run", *PLAIN)
    wait_until_it_holds(first)
    with standing_still(first):
        code, told = ended(command(tmp_path, *DURING_A_RUN[pair], *PLAIN))
    assert code == 73, told
    assert IN_USE in told
    assert "Traceback" not in told
    code, told = ended(first)
    assert code == 0, told
    assert trials(tmp_path) == undisturbed()[0]


def test_runs_that_begin_at_one_moment_do_not_disturb_each_other(undisturbed, tmp_path):
    processes = [command(tmp_path, "run", *PLAIN) for _ in range(3)]
    told = [ended(process) for process in processes]

    assert sorted({code for code, _ in told} - {73}) == [0], told
    assert trials(tmp_path) == undisturbed()[0]


@pytest.mark.parametrize("words", ["status", "report"])
def test_who_looks_at_a_run_does_not_disturb_it(undisturbed, tmp_path, words):
    first = command(tmp_path, "run", *PLAIN)
    wait_until_it_holds(first)
    while first.poll() is None:
        code, told = ended(command(tmp_path, words))
        is_refused = code == 73 and IN_USE in told
        assert code == 0 or (words == "report" and is_refused) or first.poll() is not None, told
        assert "Traceback" not in told
    code, told = ended(first)
    assert code == 0, told
    assert trials(tmp_path) == undisturbed()[0]


@pytest.mark.parametrize(
    "second", [["run", "--out", "other_out", "--state", "other"], ["run"], ["worker", "search.toml"]]
)
def test_processes_that_share_a_file_as_storage_train_each_trial_once(tmp_path, second):
    shared = {"study__storage": f"sqlite:///{tmp_path}/shared.db", "study__num_trials": 8}
    (tmp_path / "search.toml").write_text(template())
    first = command(tmp_path, "run", *PLAIN, **shared)
    time.sleep(2)
    codes = [ended(process) for process in (command(tmp_path, *second, **shared), first)]

    assert [code for code, _ in codes] == [0, 0], codes
    assert [trial["number"] for trial in trials(tmp_path)] == list(range(8))
