"""Shows what the command makes of names and files that no person should have given it."""

import sys

import pytest

CONFIG = """
[task]
build_model = "pipeline.digits_example:build_model"
load_data = "pipeline.digits_example:load_data"
"""
HOSTILE = [
    "../../etc",
    "a/b",
    "a b",
    "Ünïcödé",
    "<script>alert(1)</script>",
    "evil\x1b[2J",
    "x" * 300,
    "-rf",
    "$(id)",
    "",
]


@pytest.fixture
def lrrt(lrrt, tmp_path):
    """Run a command in a folder with a config."""
    (tmp_path / "search.toml").write_text(CONFIG)
    return lrrt


def left_alone(folder):
    return sorted(path.name for path in folder.iterdir()) == ["search.toml"] and "tensorflow" not in sys.modules


@pytest.mark.parametrize("name", HOSTILE)
def test_an_optimizer_with_a_hostile_name_is_refused_and_no_file_has_its_name(lrrt, tmp_path, name):
    before = "tensorflow" in sys.modules
    code, shown, told = lrrt("search", "search.toml", f"--range={name}=1e-3:1e-1")

    assert (code, shown) == (2, "")
    assert "must" in told
    assert "\x1b" not in told
    assert before or left_alone(tmp_path)


@pytest.mark.parametrize("name", [*HOSTILE, "my_task:build model", "my_task:<b>", "../my_task:build_model", ":f", "m:"])
def test_a_task_with_a_hostile_name_is_refused_before_anything_is_imported(lrrt, tmp_path, name):
    quoted = name.replace("\\", "").replace("\x1b", "\\u001b")
    (tmp_path / "search.toml").write_text(CONFIG.replace("pipeline.digits_example:build_model", quoted))
    code, shown, told = lrrt("validate", "search.toml")

    assert (code, shown) == (2, "")
    assert 'must be "module:function"' in told
    assert "\x1b" not in told


@pytest.mark.parametrize("command", ["validate", "run", "plan", "status"])
def test_a_config_that_is_a_folder_or_not_utf_8_is_refused_by_every_command(lrrt, tmp_path, command):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b"# \xfcber\n")
    (tmp_path / "nul.toml").write_bytes(b"a = 1\x00")

    assert "must be a file, got the directory" in _refused(lrrt(command, "folder.toml"))
    assert "must be UTF-8" in _refused(lrrt(command, "latin.toml"))
    assert "must be TOML" in _refused(lrrt(command, "nul.toml"))
    assert "must exist" in _refused(lrrt(command, "none\x1b[2J.toml"))


@pytest.mark.parametrize("seed", ["-1", "1.5", "nan", "99999999999999999999"])
def test_a_seed_or_a_number_of_trials_that_is_none_is_refused(lrrt, seed):
    _refused(lrrt("run", "search.toml", "--seed", seed))
    _refused(lrrt("run", "search.toml", "--trials", seed))


def _refused(ended):
    code, shown, told = ended
    assert (code, shown) == (2, "")
    assert "\x1b" not in told
    assert "Traceback" not in told
    return " ".join(told.split())
