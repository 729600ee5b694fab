"""The page of benchmarks is what they stored, says what was not run, and has the numbers of README."""

import argparse
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/benchmarks.md"
MEASURED = json.loads((ROOT / "benchmarks/measured.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def gallery():
    before = sys.path[:]
    yield importlib.import_module("benchmarks.__main__")
    sys.path[:] = before


@pytest.fixture
def commands(gallery):
    return {name: gallery.usual_command(part) for name, part in gallery.PARTS.items()}


def test_the_page_is_as_what_was_measured_makes_it(commands, gallery):
    from measured_page import filled

    text = PAGE.read_text(encoding="utf-8")

    assert filled(text, MEASURED, commands) == text, "run python -m benchmarks"
    assert set(re.findall(r"<!-- measured: ([\w-]+) -->", text)) == {*gallery.PARTS, "machines"}


def test_each_part_is_a_file_whose_options_are_there(gallery):
    for part in gallery.PARTS.values():
        source = (ROOT / "benchmarks" / part.command.split()[0]).read_text(encoding="utf-8")
        for option in re.findall(r"--[\w-]+", f"{part.whole} {part.quick}"):
            assert f'"{option}"' in source, part


def test_what_was_not_run_is_said_and_so_are_quick_forms_and_machines(commands, gallery):
    from measured_page import filled

    place = "<!-- measured: {} -->\nold\n<!-- end -->\n"
    text = "".join(map(place.format, ("memory", "dense", "machines")))
    table = {"title": "Memory, MiB", "heads": ["", "all"], "rows": [["lrrt", 712.5], ["fit", None]]}
    told = {
        "command": "python benchmarks/memory.py",
        "is_quick": True,
        "day": "2026-01-02",
        "minutes": 1.5,
        "load": 0.3,
    }
    shown = filled(text, {"memory": {**told, "machine": "M", "versions": "V", "tables": [table]}}, commands)

    assert "old" not in shown
    assert "Not run for this page: `python benchmarks/study_speed.py digits_mlp --trials 9`." in shown
    assert "(quick form, few repeats; 2026-01-02, 1.5 minutes, load 0.3 when it began)" in shown
    assert "| lrrt | 712 |\n| fit | - |" in shown
    assert "M; V." in shown


def test_a_quick_form_replaces_no_whole_one(gallery):
    assert gallery.is_enough({"is_quick": False}, True)
    assert not gallery.is_enough({"is_quick": True}, False)


def test_the_numbers_of_readme_stand_on_the_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    cells = [cell for row in re.findall(r"^\|(.*)\|$", readme, re.MULTILINE) for cell in row.split("|")[1:]]
    numbers = {number for cell in cells for number in re.findall(r"(?<![\w-])\d*\.\d+", cell)}
    page = PAGE.read_text(encoding="utf-8")

    assert len(numbers) >= 6
    assert [number for number in sorted(numbers) if not re.search(rf"(?<!\d){re.escape(number)}", page)] == []


def test_the_command_lists_its_parts():
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "startup, range-test, dense" in " ".join(ended.stdout.split())


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("count", "0", "a whole number of at least 1, got '0'"),
        ("count", "many", "a whole number of at least 1, got 'many'"),
        ("duration", "-1", "a number of seconds, 0 or more, got '-1'"),
        ("duration", "nan", "a number of seconds, 0 or more, got 'nan'"),
        ("file", "docs", "a file that is there, got 'docs'"),
        ("file_to_write", "none/there.json", "a file in a folder that is there, got 'none/there.json'"),
    ],
)
def test_an_argument_that_cannot_be_right_is_refused_in_words(gallery, kind, text, words):
    import arguments

    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"must be {words}.")):
        getattr(arguments, kind)(text)


def test_a_task_that_is_not_in_the_oracle_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "tasks.py").write_text('NAMES = ("wine",)\nOPTIMIZERS = {"adam": None}\n', encoding="utf-8")
    (tmp_path / "oracle.json").write_text('{"wine": {}}', encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "benchmarks/study_quality.py", tmp_path, "--tasks", "wine", "win"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert "argument --tasks: must be some of wine, got win." in ended.stderr


def test_no_benchmark_takes_a_number_or_a_path_unchecked():
    for script in (ROOT / "benchmarks").glob("*.py"):
        taken = re.findall(r"add_argument\([^\n]*type=(?:int|float|Path)\b.*", script.read_text(encoding="utf-8"))
        assert [one for one in taken if '"--seed"' not in one] == [], script
