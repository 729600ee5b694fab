"""Shows that a stage trains on all devices that its process sees."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("blank_pictures")

PROGRAM = """
import gc, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import pipeline
small = {"study.num_trials": 1, "study.epochs": 2, "study.batch_sizes": [128], "study.top_retrained": 0,
         "range_test.optimizers": ["adam"], "range_test.num_steps": 30, "range_test.repeats": 1}
config = pipeline.builtin_config(small)
pipeline.run_stage(config, out=sys.argv[1] + "/out", state=sys.argv[1] + "/state")
assert gc.isenabled() and gc.get_freeze_count(), "held back while Keras is imported"
print(tf.distribute.get_strategy().num_replicas_in_sync)
"""


@pytest.mark.long
def test_a_stage_divides_each_batch_among_two_devices(tmp_path):
    shown = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=False)

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == "2"
    best = json.loads((tmp_path / "out/summary.json").read_text())["best"]
    assert best["val_losses"][1] < best["val_losses"][0]
    assert best["model_file"] == "best/model.keras"
    assert best["test"]["accuracy"] > 0.3
