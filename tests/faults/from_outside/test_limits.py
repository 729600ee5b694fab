"""Disks that are full, files that may not grow, too many open files, folders that may not be written, odd paths."""

import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import typer

from pipeline.commands.failures import exit_codes
from tests.faults.commands import command, ended, trials

GO_ON = "then run the same command again to go on"
UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")  # root without its right to write


@contextmanager
def mounted(folder, size):
    """Mount a file system of so many bytes; skip the test where this process may not."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def check_ended_for_want_of_room(process):
    code, told = ended(process)
    assert "Traceback" not in told
    is_said = (
        "the disk is full" in told or "Look at the disk and at `ulimit -a`" in told
    )  # SQLite does not tell them apart
    assert code == 0 or (code == 74 and is_said and GO_ON in told), told


def check_goes_on(folder, whole):
    code, told = ended(command(folder))
    assert code == 0, told
    assert trials(folder) == whole


@pytest.mark.long
@pytest.mark.parametrize("limit_bytes", [1, 1_000, 5_000, 20_000, 60_000, 120_000, 200_000])
def test_a_limit_of_file_sizes_ends_with_74_and_the_remedy_and_without_it_the_run_goes_on(
    undisturbed, tmp_path, limit_bytes
):
    process = command(tmp_path, limits=[(resource.RLIMIT_FSIZE, limit_bytes)])
    check_ended_for_want_of_room(process)
    check_goes_on(tmp_path, undisturbed()[0])


@pytest.mark.long
@pytest.mark.parametrize("kilobytes", [4, 40, 150, 250, 350, 450, 550, 650, 800])
def test_a_disk_that_fills_ends_with_74_and_the_remedy_and_with_room_the_run_goes_on(undisturbed, tmp_path, kilobytes):
    with mounted(tmp_path / "disk", f"{kilobytes}k") as folder:
        check_ended_for_want_of_room(command(folder))
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        check_goes_on(folder, undisturbed()[0])


@pytest.mark.long
def test_a_low_limit_of_open_files_is_raised_where_it_may_be(tmp_path):
    code, told = ended(command(tmp_path, limits=[(resource.RLIMIT_NOFILE, 12)]))
    assert code == 0, told


@pytest.mark.long
@pytest.mark.parametrize("number", [12, 14, 16, 18, 20, 24, 32])
def test_too_few_open_files_are_said_with_the_remedy(undisturbed, tmp_path, number):
    code, told = ended(command(tmp_path, limits=[(resource.RLIMIT_NOFILE, number, number)]))
    assert "Traceback" not in told
    assert code == 0 or (code == 74 and "ulimit" in told), told
    check_goes_on(tmp_path, undisturbed()[0])


@pytest.mark.long
@pytest.mark.parametrize("name", ["out", "state", "out/best", "state/checkpoints"])
def test_a_folder_that_may_not_be_written_is_named(undisturbed, tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name).chmod(0o555)
    code, told = ended(command(tmp_path, before=UNPRIVILEGED))

    assert code == 74, told
    assert "Traceback" not in told
    assert str(tmp_path / name) in told
    (tmp_path / name).chmod(0o755)
    check_goes_on(tmp_path, undisturbed()[0])


@pytest.mark.long
def test_a_disk_that_is_read_only_is_said_and_a_finished_run_on_it_can_be_looked_at(undisturbed, tmp_path):
    with mounted(tmp_path / "disk", "64m") as folder:
        check_goes_on(folder, undisturbed()[0])
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        process = command(folder, "status")
        shown = process.communicate()
        assert process.returncode == 0, shown
        assert "done: 3 of 3 trials have ended" in shown[0]
        for words in (["run"], ["report"]):
            code, told = ended(command(folder, *words))
            assert code == 74, told
            assert "Read-only file system" in told
            assert "Traceback" not in told


NAMES = [
    ["a space", "ünïcode 模型", "100%", "per%20cent", "a?b#c&d=e", "quote'\""],
    ["{braces}", "$HOME", "back\\slash", "new\nline", "-dash", "x" * 200],
    ["a:b", "\x1b[2J", "...", "semi;colon", "*"],
]


@pytest.mark.long
@pytest.mark.parametrize("names", NAMES)
def test_a_folder_of_any_name_is_one(undisturbed, tmp_path, names):
    folder = tmp_path.joinpath(*names)
    folder.parent.mkdir(parents=True)
    check_goes_on(folder, undisturbed()[0])
    process = command(folder, "status", "--out", str(folder / "out"), "--state", str(folder / "state"))
    shown = process.communicate()
    assert process.returncode == 0, shown
    assert "done: 3 of 3 trials have ended" in shown[0]


@pytest.mark.long
@pytest.mark.parametrize("words", [["run"], ["status"], ["report"]])
def test_a_folder_whose_name_is_not_utf8_is_refused_before_anything_runs(tmp_path, words):
    code, told = ended(command(tmp_path / "not UTF-8 \udcff", *words))
    assert code == 74
    assert "must be a path in UTF-8, but it holds bytes that are not. Rename the folder, or give --out" in told
    assert told.startswith("lrrt: a file cannot be read or written: ")


def test_a_disk_that_is_full_is_said_with_the_remedy(capsys):
    failure = OSError(28, "No space left on device", "out/trials.csv")
    with pytest.raises(typer.Exit) as caught, exit_codes(verbose=False):
        raise failure

    assert caught.value.exit_code == 74
    told = capsys.readouterr().err
    assert "lrrt: the disk is full" in told
    assert "Make room, then run the same command again to go on." in told
