"""The commands of README and of the pages run, on a task that costs nothing; the tutorial has a test of its own."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.run import Run
from tests.pipeline.bowl_task import prepare_bowl
from tests.test_docs import ALL_PAGES, DOCS, ROOT, blocks, commands_in
from tests.undrawn import undrawn

NUM_TRIALS = 18  # a page exports trial 17
CONFIG = f"""
[task]
build_model = "pipeline.digits_example:build_model"
load_data = "pipeline.digits_example:load_data"
[study]
num_trials = {NUM_TRIALS}
epochs = 6
"""
# A `lrrt` for a shell, whose task is the bowl.
ON_BOWL = f"""#!{sys.executable}
import sys
from dataclasses import replace

sys.path.insert(0, {str(ROOT)!r})
from pipeline import cli, run
from tests.pipeline.bowl_task import prepare_bowl

make = run.Run.make
run.Run.make = lambda *values, **options: replace(make(*values, **options), prepare=prepare_bowl)
sys.argv[0] = "lrrt"
cli.main()
"""
OWN_TESTS = (DOCS / "tutorial.md", DOCS / "scaling.md")  # test_first_hour; tests/cluster, on a real Slurm
BEGINNING = ("init", "validate", "plan", "range", "search")  # what a folder has no results for yet
SHELL = re.compile(r"^case |\|", re.MULTILINE)


def sh_blocks(*, shell):
    return [
        pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in ALL_PAGES
        for number, (head, text) in enumerate(blocks(page, "sh"))
        if page not in OWN_TESTS and not head and "lrrt " in text and bool(SHELL.search(text)) is shell
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a folder with a config and the results of its run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "search.toml").write_text(CONFIG, encoding="utf-8")
    make = Run.make
    with pytest.MonkeyPatch.context() as patch, undrawn():
        patch.chdir(folder)
        patch.setattr(Run, "make", lambda *values, **options: replace(make(*values, **options), prepare=prepare_bowl))
        ended = CliRunner().invoke(app, ["run", "search.toml"], prog_name="lrrt")
    assert ended.exit_code == 0, ended.stderr
    return folder


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    """Return a folder with the config, the results of its run, and what the pages call earlier results."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    shutil.copytree(finished / "out", tmp_path / "old/out")
    shutil.copytree(finished / "out", tmp_path / "bounds")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("on_bowl", "blank_pictures")
@pytest.mark.parametrize("text", sh_blocks(shell=False))
def test_every_command_of_a_page_runs(text, folder):
    for command, *arguments in commands_in(text):
        if command in BEGINNING:
            for name in ("out", "state"):
                shutil.rmtree(folder / name, ignore_errors=True)
        ended = CliRunner().invoke(app, [command, *arguments], prog_name="lrrt")

        assert ended.exit_code == 0, f"{command} {arguments}: {ended.stderr}"


@pytest.mark.parametrize("text", sh_blocks(shell=True))
def test_every_block_that_a_shell_must_read_runs(text, folder):
    (folder / "bin").mkdir()
    (folder / "bin/lrrt").write_text(ON_BOWL, encoding="utf-8")
    (folder / "bin/lrrt").chmod(0o755)
    paths = f"{folder / 'bin'}:{sys.exec_prefix}/bin:/usr/bin:/bin"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", text],
        env={"PATH": paths, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"[\d.e-]+|out/summary.json\ngood: .*", ended.stdout.strip()), ended.stdout
