"""Shows that a stage on a real cluster ends with each of its trials once, whatever happens to its workers."""

import json
import os
import re
import signal
import time

from optuna.trial import TrialState

from tests.cluster.slurm import wait_until
from tests.cluster.trials import check_each_trial_ended_once, held_by, trials_of

END_S = 600  # for which the end of a stage is waited for, on a busy machine
GRACE_S = 5  # without a sign of life, after which a worker is lost
NUM_TRIALS, NUM_WORKERS, NUM_EPOCHS = 14, 5, 1500


def test_a_stage_on_slurm_writes_what_one_on_this_machine_writes(stage, nodes, tmp_path):
    code, shown, told = stage.lrrt("submit", "search.toml", "--workers", "2")
    assert (code, shown) == (0, "out/summary.json\n"), told
    wait_for_the_end(stage, nodes)
    stage.environment.pop("LRRT_STORAGE")
    here = ["--out", str(tmp_path / "out"), "--state", str(tmp_path / "state")]
    code, _, told = stage.lrrt("run", "search.toml", *here)
    assert code == 0, told

    assert files_of(stage.folder / "out") == files_of(tmp_path / "out")
    for name in ("range_test/bounds.json", "range_test/curves.csv", "space.json"):
        assert (stage.folder / "out" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    for folder in (stage.folder, tmp_path):
        assert json.loads((folder / "out/summary.json").read_text())["num_trials"]["ended"] == 4


def test_each_trial_ends_once_whatever_happens_to_workers_nodes_and_database(stage, nodes, database):
    stage.configure(num_trials=NUM_TRIALS, epochs=NUM_EPOCHS, optimizers=["sgd"])
    stage.environment["LRRT_STUDY__GRACE_S"] = str(GRACE_S)
    assert stage.lrrt("submit", "search.toml", "--workers", str(NUM_WORKERS))[0] == 0
    killed, requeued, cancelled, frozen, on_crashing_node = wait_until(lambda: all_training(stage, nodes), END_S)

    os.kill(nodes.process_of(killed.job), signal.SIGKILL)
    frozen_process = nodes.process_of(frozen.job)
    os.kill(frozen_process, signal.SIGSTOP)
    frozen_trials = [trial.number for trial in held_by(stage.storage, f".{frozen.index}.0")]
    nodes.ask("scontrol", "requeue", requeued.name_in_array)
    nodes.ask("scancel", cancelled.name_in_array)
    nodes.crash(on_crashing_node.node)
    database.stop()
    time.sleep(3)
    database.start()
    for task in (requeued, on_crashing_node):  # Slurm would hold them for two minutes
        wait_until(lambda name=task.name_in_array: is_pending(nodes, name), END_S)
        nodes.ask("scontrol", "update", f"jobid={task.name_in_array}", "StartTime=now")
    wait_until(lambda: all(trials_of(stage.storage)[number].state.is_finished() for number in frozen_trials), END_S)
    os.kill(frozen_process, signal.SIGCONT)
    wait_for_the_end(stage, nodes)

    check_each_trial_ended_once(stage.storage, NUM_TRIALS)
    # One per worker; a trial may end by itself just before its worker is hit, though not many.
    assert sum(trial.state is TrialState.FAIL for trial in trials_of(stage.storage)) >= NUM_WORKERS - 2
    summary = json.loads((stage.folder / "out/summary.json").read_text())
    assert summary["num_trials"] == {"ended": NUM_TRIALS, "completed": NUM_TRIALS}
    gone_on = re.findall(rf"goes on after epoch (\d+) of {NUM_EPOCHS}", stage.logs())
    assert gone_on
    assert all(int(epoch) > 0 for epoch in gone_on)


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def all_training(stage, nodes):
    """Return the tasks of all workers once each of them trains, the one that is alone on its node last; else None."""
    workers = [task for task in nodes.tasks() if task.state == "RUNNING"]
    if len(workers) < NUM_WORKERS or not all(held_by(stage.storage, f".{task.index}.0") for task in workers):
        return None
    return sorted(workers, key=lambda task: -sum(other.node == task.node for other in workers))


def is_pending(nodes, name):
    return [task.state for task in nodes.tasks() if task.name_in_array == name] == ["PENDING"]


def wait_for_the_end(stage, nodes):
    wait_until(lambda: not nodes.tasks(), END_S, every_s=1)
    assert (stage.folder / "out/summary.json").exists(), stage.logs()
