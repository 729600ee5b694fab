"""Shows how a real Slurm takes the jobs of a stage, and what it says if it does not."""

from tests.cluster.slurm import wait_until

HELD = 'sbatch = ["--hold"]'  # jobs that never start cost nothing


def test_jobs_wait_in_the_queue_under_names_that_status_shows(stage, nodes):
    stage.configure(HELD, "max_rounds = 2")
    code, shown, told = stage.lrrt("submit", "search.toml", "--workers", "3")
    assert (code, shown) == (0, "out/summary.json\n"), told
    assert len(nodes.tasks()) == 2 * 3

    code, shown, _ = stage.lrrt("status", "search.toml")
    assert code == 0
    assert "jobs: workers 6 pending (JobHeldUser" in shown

    code, _, told = stage.lrrt("submit", "search.toml", "--workers", "3")
    assert code == 73
    assert "has jobs in the queue: lrrt-" in told


def test_sbatch_refuses_in_its_own_words_and_nothing_is_left_in_the_queue(stage, nodes):
    stage.configure('partition = "no-such-partition"')
    code, _, told = stage.lrrt("submit", "search.toml", "--workers", "2")

    assert code == 2
    assert "`sbatch` refused: sbatch: error: invalid partition specified: no-such-partition" in told

    stage.configure(HELD, 'time = "10:00"', "gpus_per_worker = 2")
    script = stage.folder / "sbatch"  # a site's own filter, which refuses the second job
    script.write_text(
        '#!/bin/bash\ncase "$*" in *dependency*) echo "no quota" >&2; exit 1;; esac\nexec /usr/bin/sbatch "$@"\n'
    )
    script.chmod(0o755)
    stage.environment["PATH"] = f"{stage.folder}:{stage.environment['PATH']}"
    code, _, told = stage.lrrt("submit", "search.toml", "--workers", "2")

    assert code == 2
    assert "`sbatch` refused: no quota" in told
    assert nodes.tasks() == []


def test_a_stage_that_fails_is_tried_as_often_as_the_config_says_and_leaves_the_queue(stage, nodes):
    stage.configure(HELD, "max_rounds = 2")
    assert stage.lrrt("submit", "search.toml", "--workers", "2")[0] == 0
    (stage.folder / "search.toml").write_text("[task]\n")
    for job in {task.job for task in nodes.tasks()}:
        nodes.ask("scontrol", "release", job)
    wait_until(lambda: not nodes.tasks(), 60)

    assert stage.logs().count("this key is missing") >= 2 * 2
