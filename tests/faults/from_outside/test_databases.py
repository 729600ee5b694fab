"""A database that is stopped, cut off, frozen, gone, or not there: a run waits, or ends with 69, and goes on."""

import os
import random
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster import postgres
from tests.faults.commands import command, ended, trials

pytestmark = pytest.mark.long
NUM_MOMENTS = int(os.environ.get("LRRT_FAULTS_MOMENTS", "6"))
REMEDY = "Look whether its server runs and the URL is right, then run the same command again to go on."


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL that asks for a password, in a folder that its own user may enter."""
    if missing := postgres.missing():
        pytest.skip(missing)
    folder = Path(tempfile.mkdtemp(prefix="lrrt-faults-"))
    folder.chmod(0o755)
    with postgres.postgres(folder / "postgres") as up:
        yield up
    shutil.rmtree(folder)


@pytest.fixture
def start(server, tmp_path):
    """Start the command on a database of its own; at the end no file and no message may hold the password."""
    storage, started = server.url("study"), []

    def start(*arguments, url=storage, **more):
        process = command(tmp_path, *arguments, environ={"LRRT_STORAGE": url}, **more)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and server.password.encode() in path.read_bytes()]
    assert holders == []


def wait_for_trial(process):
    """Wait until the first trial has ended."""
    told = []
    for line in process.stderr:
        told.append(line)
        if "trial 0 completed" in line:
            return
    raise AssertionError("".join(told))


def check_ended_unreachable(process, server, words):
    code, told = ended(process)
    assert code == 69, told
    assert "Traceback" not in told
    assert words in told
    assert REMEDY in told
    assert server.password not in told


def send(number, pids):
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def check_goes_on(start, folder, undisturbed):
    code, told = ended(start())
    assert code == 0, told
    assert trials(folder) == undisturbed()[0]


def test_a_server_that_restarts_is_waited_for(server, start, tmp_path, undisturbed):
    process = start()
    wait_for_trial(process)
    server.stop()
    time.sleep(5)
    server.start()
    code, told = ended(process)

    assert code == 0, told
    assert trials(tmp_path) == undisturbed()[0]


def test_a_server_that_is_gone_for_long_ends_the_run_with_69_and_it_goes_on(server, start, tmp_path, undisturbed):
    process = start()
    wait_for_trial(process)
    server.stop()
    try:
        check_ended_unreachable(process, server, "did not answer for 120 s")
    finally:
        server.start()
    check_goes_on(start, tmp_path, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_a_server(server, start, tmp_path, undisturbed, number):
    process = start()
    wait_for_trial(process)
    server.stop()
    try:
        time.sleep(3)
        process.send_signal(number)
        code, told = ended(process)
    finally:
        server.start()

    assert code == 128 + number, told
    check_goes_on(start, tmp_path, undisturbed)


def test_a_server_that_does_not_answer_any_more_does_not_keep_a_signal_from_ending_the_run(
    server, start, tmp_path, undisturbed
):
    process = start()
    wait_for_trial(process)
    pids = server.pids()
    send(signal.SIGSTOP, pids)
    try:
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        code, told = process.wait(timeout=60), process.stderr.read()
    finally:
        send(signal.SIGCONT, pids)

    assert code == 143, told
    check_goes_on(start, tmp_path, undisturbed)


@pytest.mark.parametrize("moment", range(NUM_MOMENTS))
def test_connections_that_are_cut_change_nothing(server, start, tmp_path, undisturbed, moment):
    whole, seconds = undisturbed()
    process, pause = start(), random.Random(moment).uniform(0.1, 0.3) * seconds
    deadline = time.monotonic() + 3 * seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(pause)
        server.cut()
    code, told = ended(process)

    assert code == 0, told
    assert trials(tmp_path) == whole


def test_a_server_that_is_not_there_is_said(server, start):
    check_ended_unreachable(start(url=server.address("x", port=1)), server, "did not answer for 10 s")


def test_a_wrong_password_is_said_and_no_password_shown(server, start):
    url = server.address("postgres").replace(server.password, "wrong-SECRET")
    code, told = ended(start(url=url))

    assert code == 69, told
    assert "password authentication failed" in told
    assert "SECRET" not in told
    assert "Traceback" not in told


def test_a_database_that_does_not_exist_is_said(server, start):
    check_ended_unreachable(start(url=server.address("nowhere")), server, 'database "nowhere" does not exist')


@pytest.mark.parametrize("words", ["status", "report"])
def test_each_command_says_that_the_server_is_gone(server, start, words):
    assert ended(start())[0] == 0
    server.stop()
    try:
        check_ended_unreachable(start(words), server, "did not answer for 10 s")
    finally:
        server.start()


@pytest.mark.parametrize("moment", range(NUM_MOMENTS))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_of_two_processes_one_may_be_stopped_at_any_moment(server, start, tmp_path, undisturbed, number, moment):
    _, seconds = undisturbed()
    first, second = (
        start(study__num_trials=6),
        start("run", "--state", "other", "--out", "other_out", study__num_trials=6),
    )
    time.sleep(random.Random(f"{number} {moment}").uniform(0, 1.5 * seconds))
    first.send_signal(number)
    (code, ended_so), (other_code, told) = ended(first), ended(second)

    assert code in (0, -number, 128 + number), ended_so
    assert other_code == 0, told
    code, told = ended(start(study__num_trials=6))
    assert code == 0, told
    left = trials(tmp_path)
    assert [trial["number"] for trial in left] == list(range(6))
    assert {trial["state"] for trial in left} <= {"completed", "pruned", "diverged"}
