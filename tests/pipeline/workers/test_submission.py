"""Shows which job a stage becomes, that its script says what is wrong, and what cannot be submitted."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.toml import builtin_config, load_config
from pipeline.report.status import read_status
from pipeline.run import Run
from pipeline.workers.jobs import script
from pipeline.workers.submission import new_submission, print_job
from tests.pipeline.bowl_task import BowlWorkers

STORAGE = "postgresql://me:s3cret@db/studies"


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make a submission of the digits example, with a config file and folders that need quotes in a shell."""
    monkeypatch.setenv("LRRT_STORAGE", STORAGE)
    folder = tmp_path / "50% off, isn't it"
    folder.mkdir()
    (folder / "search.toml").write_text("")

    def make(num_workers=4, trials=None, **cluster):
        config = builtin_config({f"cluster.{key}": value for key, value in cluster.items()})
        options = {"out": folder / "out", "state": folder / "state", "trials": trials, "seed": None}
        submission = new_submission(
            config, num_workers=num_workers, config_file=folder / "search.toml", options=options
        )
        return Run.make(config, folder / "out", folder / "state"), submission

    return make


def script_of(run, submission):
    return script(submission, run.config.cluster, run.directory)


def options_of(text):
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]


def test_there_are_never_more_tasks_than_trials(make):
    assert make(num_workers=100)[1].num_workers == 12


def test_a_script_is_what_bash_reads_with_the_resources_of_the_config(make):
    made = make(partition="gpu", account="my lab", time="4:00:00", gpus_per_worker=2, sbatch=["--mem=16G"])
    text = script_of(*made)

    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    options = {"--gres=gpu:2", "--partition=gpu", "--time=4:00:00", "--mem=16G", "--array=0-3", "--account='my lab'"}
    assert options <= set(options_of(text))
    assert "s3cret" not in text


def test_without_gpus_none_is_asked_for(make):
    assert "gres" not in script_of(*make(gpus_per_worker=0))


def test_a_task_says_if_it_does_not_see_the_folder_or_has_no_storage(make, tmp_path, monkeypatch):
    run, submission = make()
    file = tmp_path / "run.sh"
    file.write_text(script_of(run, submission))
    lost = subprocess.run(["bash", file], capture_output=True, text=True, check=False)
    assert lost.returncode == 74
    assert f"every node must see {run.directory.state.resolve()}, but this one does not" in lost.stderr

    run.directory.jobs.mkdir(parents=True)
    run.directory.submission.touch()
    monkeypatch.delenv("LRRT_STORAGE")
    lost = subprocess.run(["bash", file], capture_output=True, text=True, check=False)
    assert lost.returncode != 0
    assert "LRRT_STORAGE: the storage must come to each task through its environment" in lost.stderr


def test_a_task_runs_the_stage_with_the_options_of_the_submission(make, tmp_path, monkeypatch):
    """The script runs as it is, with a program in place of Python that prints its arguments."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    run, submission = make(trials=7)
    run.directory.jobs.mkdir(parents=True)
    run.directory.submission.touch()
    file = tmp_path / "job.sh"
    file.write_text(script_of(run, submission))
    shown = subprocess.run(["bash", file], capture_output=True, text=True, check=True).stdout.splitlines()

    folder = run.directory.state.parent.resolve()
    assert shown[:4] == ["-m", "pipeline", "run", str(folder / "search.toml")]
    assert shown[4:] == ["--out", str(folder / "out"), "--state", str(folder / "state"), "--trials", "7"]


def test_two_submissions_have_names_of_their_own(make):
    assert make()[1].tag != make()[1].tag


def test_a_dry_run_prints_the_job_and_writes_nothing(make):
    run, submission = make()
    said = []
    print_job(run, submission, said.append)

    assert shlex.split(said[0])[:3] == ["#", "sbatch", "--parsable"]
    assert not run.directory.state.exists()
    assert "s3cret" not in "".join(said)


@pytest.fixture
def lrrt(lrrt, tmp_path):
    """Run a command in a folder with a config."""
    (tmp_path / "search.toml").write_text(
        '[task]\nbuild_model = "pipeline.digits_example:build_model"\nload_data = "pipeline.digits_example:load_data"\n'
    )
    return lrrt


@pytest.mark.parametrize(
    ("arguments", "storage", "path", "message"),
    [
        (["--workers", "0"], STORAGE, "", "Invalid value for '--workers': Input should be greater than or equal to 1"),
        (["--workers", "2"], "", "", "must share a database server, got no storage. Give the URL of a PostgreSQL"),
        (["--workers", "2"], "sqlite:///study.db", "", "must share a database server, got SQLite"),
    ],
)
def test_what_cannot_be_submitted_ends_with_2(lrrt, monkeypatch, arguments, storage, path, message):
    monkeypatch.setenv("LRRT_STORAGE", storage)
    if path:
        monkeypatch.setenv("PATH", path)
    code, shown, told = lrrt("submit", "search.toml", *arguments)

    assert (code, shown) == (2, "")
    assert message in " ".join(told.replace("│", " ").split())


def test_a_stage_that_is_submitted_to_this_machine_is_shared_by_workers_with_either_engine(
    lrrt, tmp_path, monkeypatch, on_bowl, blank_pictures_here
):
    monkeypatch.setattr("pipeline.sharing.LocalWorkers", BowlWorkers)
    with (tmp_path / "search.toml").open("a") as config:
        config.write("""
[range_test]
optimizers = ["sgd"]
num_steps = 60
[study]
engine = "keras_tuner"
sampler = "random"
num_trials = 2
epochs = 2
top_retrained = 0
[cluster]
kind = "local"
""")
    code, shown, told = lrrt("submit", "search.toml", "--workers", "1")

    assert (code, shown) == (0, "out/summary.json\n"), told
    assert "trial 1 completed" in told
    (seen,) = read_status(load_config(Path("search.toml")), out=Path("out"), state=Path("state"))["workers"]
    assert seen["id"].endswith(f".{os.getpid()}.0")
