"""Shows what each command does and which exit code each ending has, on real trainings or a bowl in this process."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pipeline.commands.options import seconds
from pipeline.config.list_values import OPTIMIZERS
from pipeline.failures import NoBounds
from pipeline.results.schemas import schema_of
from pipeline.steps.given_bounds import parse_ranges

pytestmark = pytest.mark.usefixtures("blank_pictures")

CONFIG = """
[task]
build_model = "pipeline.digits_example:build_model"
load_data = "pipeline.digits_example:load_data"
[range_test]
num_steps = 60
repeats = 1
[study]
num_trials = 2
epochs = 3
"""


@pytest.fixture
def lrrt(lrrt, tmp_path, monkeypatch):
    """Run a command with the modules of its folder."""
    monkeypatch.syspath_prepend(tmp_path)
    return lrrt


@pytest.fixture
def config(tmp_path):
    def config(more=""):
        (tmp_path / "search.toml").write_text(CONFIG + more)
        return "search.toml"

    return config


def check(file, content):
    jsonschema.Draft202012Validator(schema_of(file)).validate(content)


@pytest.mark.long
def test_range_then_search_then_status_and_report(lrrt, config, tmp_path):
    search = config()
    assert lrrt("status", search)[1] == "not started: 0 of 2 trials have ended; no process works on it\n"
    assert not (tmp_path / "state").exists()

    code, shown, told = lrrt("search", search)
    assert (code, shown) == (2, "")
    assert "state holds none. Run `lrrt range` with the same folders first" in told

    assert lrrt("range", search)[:2] == (0, "out/range_test/bounds.json\n")
    assert lrrt("report", search)[0] == 2
    assert lrrt("status", search)[1].startswith("study: 0 of 2 trials")
    check("bounds", json.loads((tmp_path / "out/range_test/bounds.json").read_text()))

    code, shown, told = lrrt("search", search, "--json")
    assert code == 0
    assert "resume: range tests are done, 0 of 2 trials" in told
    check("summary", json.loads(shown))
    status = json.loads(lrrt("status", search, "--json")[1])
    assert (status["phase"], status["num_trials"]["ended"], status["holder"]) == ("done", 2, None)

    html = tmp_path / "out/report.html"
    html.unlink()
    assert lrrt("report", search)[:2] == (0, "out/report.html\n")
    assert "What to do next" in html.read_text(encoding="utf-8")
    assert "nothing left to do" in lrrt("run", search)[2]


def test_a_search_takes_a_range_by_hand_and_then_belongs_to_it(lrrt, config, tmp_path, on_bowl):
    search = config("top_retrained = 0\n")
    code, shown, _ = lrrt("search", search, "--range", "rmsprop=1e-4:1e-2", "--json", "--quiet")

    summary = json.loads(shown)
    assert code == 0
    check("summary", summary)
    check("bounds", json.loads((tmp_path / "out/range_test/bounds.json").read_text()))
    assert list(summary["bounds"]) == ["rmsprop"]
    assert (summary["bounds"]["rmsprop"]["low"], summary["bounds"]["rmsprop"]["high"]) == (1e-4, 1e-2)
    assert summary["bounds"]["rmsprop"]["reason"] == "given by hand, not tested"
    assert summary["cost"]["range_test_steps"] == 0
    assert [path.name for path in (tmp_path / "out/range_test").iterdir()] == ["bounds.json"]
    assert "Loss of each step" not in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "nothing left to do" in lrrt("search", search, "--range", "rmsprop=1e-4:1e-2")[2]

    code, _, told = lrrt("run", search)
    assert code == 73
    assert "bounds.rmsprop: was [0.0001, 0.01], now absent" in told

    lrrt("range", search, "--out", "other/out", "--state", "other/state")
    bounds = "other/out/range_test/bounds.json"
    words = ["--bounds", bounds, "--out", "b/out", "--state", "b/state", "--trials", "1", "--json"]
    code, shown, _ = lrrt("search", search, *words)
    assert code == 0
    assert set(json.loads(shown)["bounds"]) == {"sgd", "adam"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--range", "adam"], "--range must be optimizer=low:high, such as adam=1e-4:1e-2, got 'adam'"),
        (["--range", "adam=a:b"], "--range must be optimizer=low:high"),
        (["--range", "adm=1:2"], "known optimizer, got 'adm'. Did you mean 'adam'?"),
        (["--range", "adam=2:1"], "`0 < low < high` must hold for --range adam, got low=2.0, high=1.0"),
        (["--range", "adam=1:2", "--range", "adam=1:3"], "each optimizer once, got adam twice"),
        (["--range", "adam=1:2", "--bounds", "a.json"], "from one place, got --bounds and --range"),
        (["--bounds", "none.json"], "that can be read, got none.json: No such file"),
        (["--bounds", "search.toml"], "search.toml cannot be read as one"),
        (["--max-time", "soon"], "must be a duration such as 3h50m, 90m or 600s, got 'soon'"),
        (["--max-time", "0s"], "must be longer than nothing"),
    ],
)
def test_bounds_and_times_that_cannot_be_used_end_with_2(lrrt, config, arguments, message):
    code, shown, told = lrrt("search", config(), *arguments)

    assert (code, shown) == (2, "")
    assert message in " ".join(told.replace("│", " ").split())


def test_plan_prices_every_part_and_writes_nothing(lrrt, config, tmp_path):
    search = config()
    before = set(tmp_path.iterdir())
    code, shown, _ = lrrt("plan", search, "--json", "--trials", "7")

    plan = json.loads(shown)
    assert code == 0
    assert [part["name"] for part in plan["parts"]] == [
        "range test of sgd",
        "range test of adam",
        "7 trials",
        "3 best trials on 3 seeds",
    ]
    # The first range test may also measure the untrained losses of its batches, which the others then know.
    assert [part["steps"] for part in plan["parts"]] == [2 * 60, 60, 7 * 3 * 34, 9 * 3 * 34]
    assert [part["least_steps"] for part in plan["parts"]] == [32, 32, 0, 0]
    assert all(part["least_seconds"] < part["seconds"] for part in plan["parts"])
    assert plan["training_steps"] == {"32": 3 * 34}
    in_graph = "are trained by TensorFlow's graph, without XLA: fewer than 5,000 steps are planned"
    assert {f"trials of {name} in batches of 32 {in_graph}" for name in ("sgd", "adam")} <= set(plan["notes"])
    assert plan["parts"][2]["epochs"] == 21
    assert all(0 < found["step_ms"] < 1000 for found in plan["measured"])
    assert math.isclose(plan["seconds"], sum(part["seconds"] for part in plan["parts"]))
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"__pycache__"}


def test_a_storage_on_a_path_that_is_not_there_ends_with_74(lrrt, config, tmp_path, monkeypatch, on_bowl):
    search = config()
    lrrt("range", search)
    monkeypatch.setenv("LRRT_STORAGE", f"sqlite:///{tmp_path}/no such folder/study.db")
    code, _, told = lrrt("run", search)

    assert code == 2  # a space in a URL
    monkeypatch.setenv("LRRT_STORAGE", f"sqlite:///{tmp_path}/none/study.db")
    code, _, told = lrrt("run", search)
    assert code == 74
    assert "unable to open database file" in told


def test_the_lock_of_another_process_ends_with_73_and_status_still_answers(lrrt, config, tmp_path, impatient):
    from pipeline.state.run_directory import RunDirectory

    search = config()
    with RunDirectory(Path("out"), Path("state")).locked():
        assert lrrt("run", search)[0] == 73
        assert "running as process " in lrrt("status", search)[1]


def test_the_list_of_commands_says_in_whole_words_what_each_is_for(lrrt):
    code, listed, _ = lrrt("--help")

    assert code == 0
    assert "..." not in listed.partition("Commands:")[2]
    assert "  init      Print a config, or write an example's task.\n" in listed


def test_completion_is_offered_for_shells(lrrt):
    assert "_LRRT_COMPLETE" in lrrt("--show-completion", "bash")[1] or shutil.which("bash") is None


@pytest.mark.lengthy
def test_the_installed_command_is_driven_from_init_to_the_end_of_a_killed_run(tmp_path, pytestconfig):
    script = Path(__file__).with_name("command.sh")
    command = [Path(sys.executable).with_name("lrrt")]
    ended = subprocess.run(
        [script, tmp_path, *command],
        env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
        capture_output=True,
        text=True,
        timeout=1800,  # where it hangs; a busy machine is no failure
        check=False,
    )

    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "all is well\n")


@pytest.mark.parametrize("file", ["config", "summary", "bounds"])
def test_each_schema_is_a_schema(lrrt, file):
    code, shown, _ = lrrt("schema", file)

    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(shown))


def test_a_summary_with_a_key_too_few_or_too_many_breaks_its_schema():
    for broken in ({"schema_version": 1}, {"schema_version": 1, "status": "done", "surprise": 1}):
        with pytest.raises(jsonschema.ValidationError, match=r"required property|unexpected"):
            check("summary", broken)


@pytest.mark.parametrize(("text", "expected"), [("2h", 7200), ("1h30m10s", 5410), ("45", 45), ("0.5m", 30)])
def test_a_duration_is_read_in_hours_minutes_and_seconds(text, expected):
    assert seconds(text) == expected


def test_ranges_of_all_optimizers_can_be_given():
    assert set(parse_ranges([f"{name}=1e-3:1" for name in OPTIMIZERS])) == set(OPTIMIZERS)
    with pytest.raises(NoBounds, match="must be optimizer=low:high"):
        parse_ranges(["=1:2"])
