"""A file is what was written whole, or what it was before."""

import os
from pathlib import Path

import pytest

from studies.storage.whole_file import replacing, write_text


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_write_that_fails_leaves_the_old_file_and_no_leftover(tmp_path):
    path = tmp_path / "summary.json"
    write_text(path, "old")

    with pytest.raises(ZeroDivisionError, match="zero"), replacing(path) as partial:
        partial.write_text("new")
        1 / 0  # noqa: B018

    assert path.read_text() == "old"
    assert files(tmp_path) == ["summary.json"]


def test_a_temporary_path_has_the_suffix_that_writers_go_by(tmp_path):
    with replacing(tmp_path / "plots" / "loss.png") as partial:
        assert partial.suffix == ".png"
        assert partial.parent == tmp_path / "plots"
        partial.write_bytes(b"picture")

    assert files(tmp_path) == ["loss.png"]


def test_a_file_is_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "summary.json", "{}")
    finally:
        os.umask(before)

    assert (tmp_path / "summary.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_passes_through_as_an_oserror(tmp_path):
    with pytest.raises(OSError, match="No space left"), replacing(tmp_path / "a.txt") as partial:
        partial.symlink_to("/dev/full")
        partial.write_text("more than fits")

    assert files(tmp_path) == []
