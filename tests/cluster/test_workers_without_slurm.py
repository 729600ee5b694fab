"""Shows that workers share a study without Slurm: as pods of a Kubernetes job, and as processes of one run."""

import re
import signal
import subprocess

import yaml

from studies.sharing.board import WORKER
from studies.sharing.pieces import KEY
from tests.cluster.slurm import wait_until
from tests.cluster.trials import check_each_trial_ended_once, held_by, trials_of

NUM_TRIALS, NUM_EPOCHS = 8, 400
END_S = 600


def test_a_pod_that_takes_a_lost_one_s_place_goes_on_and_a_run_with_three_workers_ends_it(stage, pytestconfig):
    stage.configure(num_trials=NUM_TRIALS, epochs=NUM_EPOCHS, optimizers=["sgd"])
    manifest = pytestconfig.rootpath / "deploy/kubernetes/stage.yaml"
    job = next(part for part in yaml.safe_load_all(manifest.read_text()) if part["kind"] == "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    arguments = [argument.replace("/run/", "") for argument in container["args"]]
    stage.environment.update({"JOB_NAME": job["metadata"]["name"], "JOB_COMPLETION_INDEX": "0"})

    def pod():
        command = stage.command(*arguments)
        with (stage.folder / "pod.log").open("ab") as log:
            return subprocess.Popen(command, cwd=stage.folder, env=stage.environment, stdout=log, stderr=log)

    first = pod()
    (lost,) = wait_until(lambda: held_by(stage.storage, "lrrt-stage.0"), END_S)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = pod()
    (again,) = wait_until(lambda: [t for t in held_by(stage.storage, "lrrt-stage.0") if t.number > lost.number], END_S)
    assert again.user_attrs[KEY] == lost.user_attrs[KEY]
    second.send_signal(signal.SIGTERM)  # evicted
    assert second.wait(END_S) == 143
    assert held_by(stage.storage, "lrrt-stage.0") == []

    code, shown, told = stage.lrrt("run", "search.toml", "--workers", "3")
    assert (code, shown) == (0, "out/summary.json\n"), told
    check_each_trial_ended_once(stage.storage, NUM_TRIALS)
    workers = {trial.user_attrs[WORKER]["id"] for trial in trials_of(stage.storage) if WORKER in trial.user_attrs}
    assert len(workers) >= 3
    logs = [file.read_text() for file in (stage.folder / "state/workers").glob("*.log")]
    assert re.search(rf"goes on after epoch [1-9]\d* of {NUM_EPOCHS}", "\n".join([told, *logs]))
