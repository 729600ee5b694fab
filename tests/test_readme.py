"""What README says is run here, so that it stays true."""

import re
from pathlib import Path

import typer

from pipeline.cli import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_lines_run_and_leave_a_space_inside_the_bounds():
    (lines,) = [block for block in blocks("python") if block.startswith("import lrrt")]
    names = {}
    exec(compile(lines, "README.md", "exec"), names)

    for found in names["space"].optimizers:
        assert (found.low, found.high) == (
            names["result"].bounds[found.name].low,
            names["result"].bounds[found.name].high,
        )


def test_every_command_named_is_a_command():
    named = set(re.findall(r"(?:^|`)lrrt ([a-z]+)", README, flags=re.MULTILINE))
    commands = set(typer.main.get_command(app).commands)

    assert {"init", "validate", "run"} <= named <= commands


def test_every_file_linked_is_there():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]

    assert links
    assert [link for link in links if not (Path(__file__).parents[1] / link).exists()] == []


def test_it_fits_on_two_screens():
    assert len(README.splitlines()) <= 120
