"""Shows that a run's files are whole, that one process at a time writes them, and that a study keeps its own."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from pipeline.failures import BadRunDirectory, RunLocked, exit_code
from pipeline.state.json_files import as_json, write_json
from pipeline.state.run_directory import RunDirectory
from pipeline.state.run_lock import holder_of
from studies.storage.whole_file import write_bytes, write_text
from tests.starter import STARTER

HOLD = """
import sys, time
from pathlib import Path
from pipeline.state.run_directory import RunDirectory
with RunDirectory(Path("out"), Path("state")).locked():
    print("locked", flush=True)
    time.sleep(60)
"""
TEAR = """
import sys, time
from pathlib import Path
from studies.storage.whole_file import replacing
with replacing(Path("out/best/model.keras")) as partial:
    partial.write_bytes(b"half of a mo")
    print(partial.name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path / "out", tmp_path / "state")


@pytest.fixture
def start(tmp_path):
    """Start Python code in another process, and return it with the first line that it printed."""
    started = []

    def start(code):
        process = STARTER.start(program=code, folder=tmp_path)
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_second_process_is_told_who_holds_the_lock(directory, start, impatient):
    process, _ = start(HOLD)

    with pytest.raises(RunLocked, match=rf"in use by process {process.pid} on \S+ since \d{{4}}-.*Z\. Wait"):
        directory.locked().__enter__()


def test_the_lock_ends_with_a_process_that_is_killed(directory, start):
    process, _ = start(HOLD)
    process.send_signal(signal.SIGKILL)
    process.wait()

    with directory.locked():
        holder = json.loads((directory.state / "lock_holder.json").read_text())

    assert holder["pid"] == os.getpid()


def test_the_lock_is_refused_to_another_part_of_this_process_and_free_afterwards(directory, impatient):
    with directory.locked(), pytest.raises(RunLocked, match=str(os.getpid())):
        directory.locked().__enter__()
    with pytest.raises(ZeroDivisionError, match="zero"), directory.locked():
        1 / 0  # noqa: B018

    with directory.locked():
        pass
    assert "lock_holder.json" not in files(directory.state)


def test_a_process_killed_in_a_write_leaves_the_old_file_and_its_leftover_goes(directory, start):
    write_json(directory.task, {})  # the results are this run's
    write_bytes(directory.best / "model.keras", b"the whole model")
    (directory.best / ".mine.partial.keras").write_bytes(b"not ours")
    (directory.best / ".model.01234567-1-0123.partial.keras").write_bytes(b"of another machine, which may be at it")
    process, partial = start(TEAR)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert partial in files(directory.out)

    with directory.locked():
        left = files(directory.out)

    assert left == [".mine.partial.keras", ".model.01234567-1-0123.partial.keras", "model.keras"]
    assert (directory.best / "model.keras").read_bytes() == b"the whole model"


def test_what_another_process_is_writing_is_left_alone(directory, start):
    write_json(directory.task, {})
    _, partial = start(TEAR)
    with directory.locked():
        assert partial in files(directory.out)


def test_a_process_that_only_asks_who_is_at_work_keeps_none_from_starting(directory, start):
    program = (
        "from pathlib import Path; from pipeline.state.run_lock import holder_of\n"
        "print('asking', flush=True)\nwhile True: holder_of(Path('state'))"
    )
    start(program)
    for _ in range(50):
        with directory.locked():
            assert holder_of(directory.state) == f"{os.getpid()} on {socket.gethostname()}"
    assert holder_of(directory.state) is None


def test_a_run_that_is_about_to_end_is_waited_for(directory, start):
    start(HOLD.replace("time.sleep(60)", "time.sleep(0.7)"))
    with directory.locked():
        assert holder_of(directory.state).startswith(f"{os.getpid()} on ")


def test_leftovers_behind_a_link_out_of_the_run_directory_stay(directory, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".model.0123abcd-1-0123.partial.keras").write_bytes(b"")
    directory.out.mkdir()
    (directory.out / "link").symlink_to(outside)

    assert directory.remove_leftovers() == 0


def test_json_has_a_schema_version_and_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"loss": float("nan"), "rates": (float("-inf"), 0.1), "name": "é"})

    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"schema_version": 1, "loss": None, "rates": [None, 0.1], "name": "é"}
    assert "é" in text


def test_what_is_no_plain_data_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        as_json({"path": Path("a")})


def test_one_folder_for_both_and_a_file_for_a_folder_are_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(BadRunDirectory, match="a folder each"):
        RunDirectory(tmp_path / "out", tmp_path / "a" / ".." / "out")
    with pytest.raises(BadRunDirectory, match="but it is a file"):
        RunDirectory(tmp_path / "out", tmp_path / "file")


@pytest.mark.parametrize("name", ["summary.json", "trials.csv", "best/model.keras", "plots/history.svg"])
def test_results_that_no_state_belongs_to_are_not_written_over(directory, name):
    write_text(directory.out / name, "of another run")

    with pytest.raises(BadRunDirectory, match=rf"must not hold results of another run, .* holds {name}"):
        directory.locked().__enter__()

    assert (directory.out / name).read_text() == "of another run"
    write_json(directory.task, {})
    with directory.locked():
        pass


def test_somebody_s_own_files_in_the_folder_of_the_results_are_no_hindrance(directory):
    for name in ("notes.txt", "best/notes.txt", "plots/mine.png", "données/é <b>&.csv"):
        write_text(directory.out / name, "mine")

    with directory.locked():
        assert directory.results() == []
    assert len(files(directory.out)) == 4


@pytest.mark.parametrize("name", ["out/best", "out/range_test", "out/plots", "state/checkpoints"])
def test_a_link_out_of_the_run_directory_is_refused(directory, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).symlink_to(elsewhere)

    with pytest.raises(BadRunDirectory, match=r"must lie in the run directory, but it is a link to .*elsewhere"):
        directory.locked().__enter__()


def test_a_run_directory_that_is_itself_a_link_is_followed(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "scratch")
    directory = RunDirectory(tmp_path / "out", tmp_path / "state")

    with directory.locked():
        write_text(directory.best / "config.json", "{}")
    assert (tmp_path / "scratch/best/config.json").exists()


@pytest.mark.parametrize("name", ["file/out", "n" * 300, "file/deep/out"])
def test_a_folder_that_cannot_be_made_is_told(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRunDirectory, match="must be a folder"):
        RunDirectory(tmp_path / name, tmp_path / "state").locked().__enter__()


@pytest.mark.parametrize(
    "name", ["with space", "ünïcödé", "<b>&amp;", "a'b\"c", "per%20cent", "two\nlines", "..", "a/../b"]
)
def test_any_name_can_be_a_run_s(tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "deep").mkdir()
    directory = RunDirectory(tmp_path / "deep" / name / "out", tmp_path / "deep" / name / "state")

    with directory.locked():
        write_json(directory.summary, {})
    assert directory.summary.exists()


def test_folders_without_permission_pass_through_as_an_oserror_that_a_scheduler_need_not_retry(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("gives its rights up for a moment, which root alone can take back")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError) as caught:  # its exit code is compared below
            RunDirectory(closed / "out", closed / "state").locked().__enter__()
    finally:
        os.seteuid(0)
    assert exit_code(caught.value) == 74
