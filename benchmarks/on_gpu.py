"""Check and measure everything on a GPU; without one, count what a step would copy, and say what was not run.

    make gpu-check                           # or: python benchmarks/on_gpu.py
    python benchmarks/on_gpu.py --on-cpu     # every part, small, to see that this program itself runs

Same results as on the CPU; milliseconds a step, a range test and a trial beside `fit` and KerasTuner; how busy the GPU
is, and what is copied; memory over 200 trials; two workers on one GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from gpu_counts import counts_of
from gpu_tasks import RATE, TASKS, Task, loops_of
from gpu_times import measure, memory_over_trials

import lrrt
from lrrt.training_loop import TrainingLoop
from studies import OptimizerRange, OptunaStudy, SearchSpace, Trainer

WORKERS_MIB = 4_096  # of GPU memory for each of two workers
TOLERANCE = 2e-3  # a GPU adds up in another order, and multiplies in TF32
ON_CPU, RESULTS, WORKER = "--on-cpu", "--results", "--worker"
MISSING = """TensorFlow sees no GPU, so nothing was checked or measured on one: not the same results, not the times, not
how busy it is, not memory, not two workers. It needs an NVIDIA GPU whose driver works (`nvidia-smi` lists it) and
TensorFlow with CUDA: pip install "tensorflow[and-cuda]". What can be counted without one is above."""


def show_counts(name: str, loop: TrainingLoop) -> None:
    """Print what a step of the graph of a GPU copies, by where it comes from and where it goes."""
    counts = counts_of(loop)
    for what, found in (
        ("waits for the GPU", counts.to_host),
        ("copies to it", counts.to_gpu),
        ("operations without a GPU kernel", counts.on_host),
    ):
        listed = ", ".join(f"{operations} ({count})" for operations, count in sorted(found.items()))
        print(f"  {name}: {what} a step, at most: {found.total()}{f': {listed}' if listed else ''}")


def results_of(task: Task) -> dict[str, list[float]]:
    """Return what must be the same on the GPU and the CPU: a loop's losses, bounds, the scores of a study."""
    loops = loops_of(task)
    loop = loops.get("adam")
    loop.restart(loops.initial_weights(0))
    losses = loop.train(np.full(20, RATE, np.float32), np.random.default_rng(0)).losses
    bounds = lrrt.range_test(task.build_model, task.data(), optimizers=["adam"], batch_size=task.batch_size).bounds[
        "adam"
    ]
    study = OptunaStudy(SearchSpace((OptimizerRange("adam", 1e-4, 1e-2),), ("fixed",), (task.batch_size,)))
    trials = study.run(Trainer(loops, epochs=2, jit=False), num_trials=3)
    scores = [trial.score or 0.0 for trial in trials]
    return {"losses": losses.tolist(), "bounds": [bounds.low or 0.0, bounds.high or 0.0], "scores": scores}


def check_results(task: Task) -> None:
    """Print how far the results of this process are from those of one that sees no GPU."""
    here = results_of(task)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        subprocess.run(
            [sys.executable, __file__, RESULTS, str(path)], env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, check=True
        )
        there = json.loads(path.read_text())
    for what, values in here.items():
        apart = float(np.max(np.abs(np.array(values) / np.array(there[what]) - 1)))
        verdict = (
            "the same" if apart <= TOLERANCE else "look at it: more than rounding" if what == "losses" else "apart"
        )
        print(f"  {what}: {apart:.1e} from those of the CPU, {verdict}")


def two_workers(task: Task) -> None:
    """Let two processes work on one study, each with a part of the GPU's memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, WORKER, f"sqlite:///{folder}/study.db"]
        began = time.perf_counter()
        workers = [subprocess.Popen(command) for _ in range(2)]
        codes = [worker.wait() for worker in workers]
        print(f"  two workers, 8 trials: {time.perf_counter() - began:.1f} s, start included, exit codes {codes}")


def work(task: Task, storage: str) -> None:
    """Be one of two workers."""
    for gpu in tf.config.list_physical_devices("GPU")[:1]:
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=WORKERS_MIB)
        tf.config.set_logical_device_configuration(gpu, [limit])
    space = SearchSpace((OptimizerRange("adam", 1e-4, 1e-2),), ("fixed",), (task.batch_size,))
    OptunaStudy(space, storage=storage).run(Trainer(loops_of(task), epochs=task.epochs), num_trials=8)


def main(arguments: list[str]) -> int:
    """Run all parts; return 1 if there is no GPU, 2 if the arguments are not known."""
    first, *others = TASKS.items()
    if arguments and arguments[0] not in (ON_CPU, RESULTS, WORKER):
        print(f"The one option is {ON_CPU}, got {' '.join(arguments)}.", file=sys.stderr)
        return 2
    if arguments[:1] == [RESULTS]:
        Path(arguments[1]).write_text(json.dumps(results_of(first[1])))
        return 0
    if arguments[:1] == [WORKER]:
        work(first[1], arguments[1])
        return 0
    gpus = tf.config.list_physical_devices("GPU")
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {len(gpus)} GPUs\n\nCounted from the graph:")
    for name, task in TASKS.items():
        loop = loops_of(task).through_fit("adam").loop
        loop.stops_at_once = False  # as on a GPU
        loop.trace()
        show_counts(name, loop)
    if not gpus and ON_CPU not in arguments:
        print(f"\n{MISSING}")
        return 1
    print("\nResults:")
    check_results(first[1])
    print("\nTimes:")
    for name, task in [first, *(others if gpus else [])]:
        measure(name, task)
    print("\nTwo workers on one device:")
    two_workers(first[1])
    if gpus:
        print("\nMemory of the GPU in use:")
        memory_over_trials(first[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
