"""Shows which jobs a stage becomes, that their scripts say what is wrong, and how they run on this machine."""

import shlex
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config.toml import builtin_config
from pipeline.state.run_directory import RunDirectory
from pipeline.workers.jobs import all_jobs, round_jobs
from pipeline.workers.local_jobs import run_tasks
from pipeline.workers.stage_jobs import Cluster, new_submission, submit

STORAGE = "postgresql://me:s3cret@db/studies"


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make a cluster for the digits example, with a config file and folders that need quotes in a shell."""
    monkeypatch.setenv("LRRT_STORAGE", STORAGE)
    folder = tmp_path / "50% off, isn't it"
    folder.mkdir()
    (folder / "search.toml").write_text("")

    def make(num_workers=4, num_trials=None, **cluster):
        config = builtin_config({f"cluster.{key}": value for key, value in cluster.items()})
        options = {"out": folder / "out", "state": folder / "state", "seed": None}
        submission = new_submission(
            num_workers=num_workers, config_file=folder / "search.toml", options=options, num_trials=num_trials
        )
        return Cluster(config, RunDirectory(folder / "out", folder / "state"), submission)

    return make


def options_of(script):
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]


def test_a_stage_is_range_tests_then_a_study_then_workers_then_results(make):
    cluster = make()
    jobs = all_jobs(cluster.submission, cluster.config, has_bounds=False)

    assert [(job.part, job.num_tasks, job.after) for job in jobs] == [
        ("range", 2, None),
        ("study", None, "range"),
        ("workers", 4, "study"),
        ("finish", None, "workers"),
    ]
    assert [job.part for job in jobs if not job.whatever_happened] == ["workers"]


def test_range_tests_that_have_ended_are_not_repeated(make):
    cluster = make()
    jobs = all_jobs(cluster.submission, cluster.config, has_bounds=True)

    assert [(job.part, job.after) for job in jobs] == [("study", None), ("workers", "study"), ("finish", "workers")]


def test_there_are_never_more_workers_than_trials(make):
    cluster = make(num_workers=100)

    assert all_jobs(cluster.submission, cluster.config, has_bounds=True)[1].num_tasks == 12
    assert [job.num_tasks for job in round_jobs(cluster.submission, 3, 2)] == [3, None]


def test_a_script_is_what_bash_reads_with_the_resources_of_the_config(make):
    cluster = make(partition="gpu", account="my lab", time="4:00:00", gpus_per_worker=2, sbatch=["--mem=16G"])
    scripts = [cluster.script(job) for job in all_jobs(cluster.submission, cluster.config, has_bounds=False)]

    for script in scripts:
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        assert {"--gres=gpu:2", "--partition=gpu", "--time=4:00:00", "--mem=16G"} <= set(options_of(script))
        assert "--account='my lab'" in options_of(script)
        assert "s3cret" not in script
    assert [option for script in scripts for option in options_of(script) if "--array" in option] == [
        "--array=0-1",
        "--array=0-3",
    ]


def test_without_gpus_none_is_asked_for(make):
    cluster = make(gpus_per_worker=0)
    script = cluster.script(all_jobs(cluster.submission, cluster.config, has_bounds=True)[0])

    assert "gres" not in script


def test_a_task_says_where_it_does_not_see_the_folder_or_has_no_storage(make, tmp_path, monkeypatch):
    cluster = make()
    file = tmp_path / "range.sh"
    file.write_text(cluster.script(all_jobs(cluster.submission, cluster.config, has_bounds=False)[0]))
    lost = subprocess.run(["bash", file, "0"], capture_output=True, text=True, check=False)
    assert lost.returncode == 74
    assert f"every node must see {cluster.directory.state.resolve()}, but this one does not" in lost.stderr

    cluster.directory.jobs.mkdir(parents=True)
    cluster.directory.submission.touch()
    monkeypatch.delenv("LRRT_STORAGE")
    lost = subprocess.run(["bash", file, "0"], capture_output=True, text=True, check=False)
    assert lost.returncode != 0
    assert "LRRT_STORAGE: the storage must come to each job through its environment" in lost.stderr


def test_a_task_is_given_its_optimizer_and_a_worker_a_name_that_it_keeps(make, tmp_path, monkeypatch):
    """The scripts run as they are, with a program in place of Python that prints its arguments."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    cluster = make(num_trials=7)
    cluster.directory.jobs.mkdir(parents=True)
    cluster.directory.submission.touch()

    def shown(job, task):
        file = tmp_path / "job.sh"
        file.write_text(cluster.script(job))
        return subprocess.run(["bash", file, task], capture_output=True, text=True, check=True).stdout.splitlines()

    ranges, study, workers, finish = all_jobs(cluster.submission, cluster.config, has_bounds=False)
    config = str((cluster.directory.state.parent / "search.toml").resolve())
    assert shown(ranges, "1")[:4] == ["-m", "pipeline", "range", config]
    assert shown(ranges, "1")[-2:] == ["--only", "adam"]
    assert shown(workers, "3")[-2:] == ["--worker-id", f"{cluster.submission.tag}.1.3"]
    assert shown(study, "")[-2:] == ["--trials", "7"]
    assert shlex.join(shown(finish, "")).endswith(f"--workers 4 --round 1 --tag {cluster.submission.tag}")


def test_two_submissions_have_names_of_their_own(make):
    assert make().submission.tag != make().submission.tag


def test_a_dry_run_prints_the_jobs_with_what_they_wait_for_and_writes_nothing(make):
    cluster = make()
    said = []
    submit(cluster, is_dry_run=True, say=said.append, tell=lambda event: None)

    assert [shlex.split(text.splitlines()[0])[1:-1] for text in said] == [
        ["sbatch", "--parsable"],
        ["sbatch", "--parsable", "--dependency=afterany:<range>"],
        ["sbatch", "--parsable", "--dependency=afterok:<study>", "--kill-on-invalid-dep=yes"],
        ["sbatch", "--parsable", "--dependency=afterany:<workers>"],
    ]
    assert not cluster.directory.state.exists()
    assert "s3cret" not in "".join(said)


@pytest.fixture
def lrrt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search.toml").write_text(
        '[task]\nbuild_model = "pipeline.digits_example:build_model"\nload_data = "pipeline.digits_example:load_data"\n'
    )

    def lrrt(*arguments):
        ended = CliRunner().invoke(app, list(arguments), prog_name="lrrt")
        return ended.exit_code, ended.stdout, ended.stderr

    return lrrt


@pytest.mark.parametrize(
    ("arguments", "storage", "path", "message"),
    [
        (["--workers", "0"], STORAGE, "", "Invalid value for '--workers': Input should be greater than or equal to 1"),
        (["--workers", "2"], "", "", "must share a database server, got no storage. Give the URL of a PostgreSQL"),
        (["--workers", "2"], "sqlite:///study.db", "", "must share a database server, got SQLite"),
        (["--workers", "2"], STORAGE, "/nowhere", "Slurm's command `sbatch` must be on this machine"),
    ],
)
def test_what_cannot_be_submitted_ends_with_2(lrrt, monkeypatch, arguments, storage, path, message):
    monkeypatch.setenv("LRRT_STORAGE", storage)
    if path:
        monkeypatch.setenv("PATH", path)
    code, shown, told = lrrt("submit", "search.toml", *arguments)

    assert (code, shown) == (2, "")
    assert message in " ".join(told.replace("│", " ").split())


def test_a_finish_without_bounds_says_that_the_folder_may_not_be_shared(lrrt):
    code, _, told = lrrt("finish", "search.toml", "--workers", "2")

    assert code == 74
    assert "must hold the bounds that the job before found, but it does not" in told


def test_tasks_run_so_many_at_once_each_with_its_log_and_code(tmp_path):
    script = tmp_path / "job.sh"
    script.write_text('echo "task $1"\nexit "$1"\n')
    logs = [tmp_path / "logs" / f"{task}.log" for task in range(3)]
    run_tasks(script, logs, at_once=2)

    assert run_tasks(script, logs, at_once=2) == [0, 1, 2]
    assert [log.read_text() for log in logs] == [f"task {task}\n" * 2 for task in range(3)]


def test_tasks_end_with_the_process_that_runs_them(tmp_path):
    script, program = tmp_path / "job.sh", "from pathlib import Path; from pipeline.workers.local_jobs import run_tasks"
    script.write_text(f"exec 9> {tmp_path}/$1.open\nflock 9\necho begun\nexec sleep 60\n")
    call = f"run_tasks(Path({str(script)!r}), [Path({str(tmp_path)!r}) / str(task) for task in range(3)], at_once=2)"
    running = subprocess.Popen([sys.executable, "-c", f"{program}; {call}"], stderr=subprocess.DEVNULL)
    logs = [tmp_path / "0", tmp_path / "1"]
    while not all(log.exists() and log.read_text() for log in logs):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)

    assert running.wait(30) != 0
    assert not (tmp_path / "2").exists()
    for task in range(2):  # a lock ends with the process that holds it
        subprocess.run(["flock", "--timeout", "10", tmp_path / f"{task}.open", "true"], check=True)
