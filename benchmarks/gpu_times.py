"""Measure a task on a GPU: milliseconds a step, a range test and a trial, beside `fit` and KerasTuner; and memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from gpu_profile import profiled
from gpu_tasks import RATE, Task, loops_of

import lrrt
from studies import OptimizerRange, OptunaStudy, SearchSpace, Trainer


def measure(name: str, task: Task) -> None:
    """Print the times of a task."""
    loops = loops_of(task)
    loop, weights = loops.get("adam"), loops.initial_weights(0)
    num_steps = loops.num_batches(task.batch_size)
    rates = np.full(num_steps, RATE, np.float32)
    x, y = task.data()

    def train() -> None:
        loop.restart(weights)
        loop.train(rates, np.random.default_rng(0))

    def fitted(**compiled: Any) -> float:
        model = task.build_model()
        model.compile(model.optimizer, model.loss, **compiled)
        return seconds(lambda: model.fit(x, y, batch_size=task.batch_size, verbose=0)) / num_steps

    times = {"loop": seconds(train) / num_steps}
    traces = loop.num_traces
    found = profiled(train)
    loop.uses_xla = not loop.xla.reason
    times["loop, jit"] = seconds(train) / num_steps if loop.uses_xla else float("nan")
    loop.uses_xla = False
    times["fit"] = fitted()
    times["fit, jit_compile, steps_per_execution"] = fitted(jit_compile=True, steps_per_execution=num_steps)
    print(f"{name}, ms a step: " + ", ".join(f"{way} {1e3 * value:.3g}" for way, value in times.items()))
    if found:
        copies = f"{found.to_gpu / num_steps:.1f} copies to it and {found.to_host / num_steps:.1f} from it a step"
        print(f"  the GPU was busy {found.busy:.0%} of the time, with {copies}; {traces} trace")
    trainer = Trainer(loops, epochs=task.epochs, patience=None, jit=False)
    space = SearchSpace((OptimizerRange("adam", 1e-4, 1e-2),), ("fixed",), (task.batch_size,))
    study = OptunaStudy(space)
    test_s = seconds(
        lambda: lrrt.range_test(task.build_model, (x, y), optimizers=["adam"], batch_size=task.batch_size), 1
    )
    trial_s = seconds(lambda: study.run(trainer, num_trials=len(study.results()) + 1))
    print(f"  range test {test_s:.2f} s, trial {trial_s:.2f} s, a trial of KerasTuner {tuned_s(task):.2f} s")
    print(f"  traces after all that: {loop.num_traces}")


def memory_over_trials(task: Task, trials: tuple[int, ...] = (10, 200)) -> None:
    """Print how much of a GPU's memory is in use after some trials and after many."""
    study = OptunaStudy(SearchSpace((OptimizerRange("adam", 1e-4, 1e-2),), ("fixed",), (task.batch_size,)))
    trainer = Trainer(loops_of(task), epochs=task.epochs, patience=None, jit=False)
    for num_trials in trials:
        study.run(trainer, num_trials=num_trials)
        print(
            f"  after {num_trials} trials: {tf.config.experimental.get_memory_info('GPU:0')['current'] / 2**20:.1f} MiB"
        )


def seconds(act: Callable[[], object], times: int = 3) -> float:
    """Return the least time of a few, the first of which compiles and does not count."""
    act()
    return min(_timed(act) for _ in range(times))


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def tuned_s(task: Task) -> float:
    """Return the seconds of a trial of KerasTuner's."""
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.RandomSearch(
            lambda hp: _with_rate(task, hp.Float("lr", 1e-4, 1e-2)), "val_loss", max_trials=1, directory=folder
        )

        def search() -> None:
            data = task.data(max(task.num_samples // 10, task.batch_size))
            tuner.search(*task.data(), batch_size=task.batch_size, epochs=task.epochs, validation_data=data, verbose=0)
            tuner.oracle.max_trials += 1

        return seconds(search, 1)


def _with_rate(task: Task, rate: float) -> keras.Model:
    model = task.build_model()
    model.optimizer.learning_rate = rate
    return model
