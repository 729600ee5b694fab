"""Seconds from a command to a good model, cold start included: `lrrt run`, a script with Optuna, one with KerasTuner.

    python benchmarks/whole_way.py [--seeds 3] [--seconds 60]
    python benchmarks/whole_way.py --task convnet --seeds 1 --seconds 120    # where Fashion-MNIST is; in eight minutes

A small dense network on digits, 12 epochs, batches of 32, or the article's convolutional network on 4,000 images of
Fashion-MNIST, 4 epochs, batches of 250; SGD, Adam or RMSprop at a fixed rate. `lrrt run` tests ranges and searches
inside them, with the sampler "arms" or with "tpe"; the scripts search 1e-5 to 1e-1 for each optimizer, with Optuna's
TPE or KerasTuner's BayesianOptimization and `fit`. Each is a process of its own that is ended after so many seconds;
they run in turn. A model is good within 2 % of the scale above the best score of all of them; the scale is the loss of
a guess, log 10, minus that best. A search that found none counts with all its seconds.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arguments import count, duration
from tables import Table, show

NEAR = 0.02
MANY = 1000  # more trials than any has time for
OPTIMIZERS = ("sgd", "adam", "rmsprop")
SCORE = re.compile(r"(?:^score|completed: validation loss) ([\d.e+-]+)")
HERE = Path(__file__).parent
CONFIG = """
[task]
build_model = "{module}:build_model"
load_data = "{module}:load_data"
[range_test]
optimizers = {optimizers}
[study]
num_trials = {num_trials}
epochs = {epochs}
batch_sizes = [{batch_size}]
schedules = ["fixed"]
sampler = "{sampler}"
seed = {seed}
"""


@dataclass(frozen=True)
class Task:
    """What is trained: a module with `build_model` and `load_data`, and how long."""

    module: str
    epochs: int
    batch_size: int


TASKS = {"digits": Task("pipeline.digits_example", 12, 32), "convnet": Task("few_images", 4, 250)}
Command = Callable[[str, Path, int], list[str]]
"""Returns what runs a search for a task, in a folder, with a seed."""


def by_lrrt(sampler: str) -> Command:
    """Return what writes a config into a folder, and returns the command that runs it."""

    def command(name: str, folder: Path, seed: int) -> list[str]:
        values = {"num_trials": MANY, "sampler": sampler, "seed": seed, **asdict(TASKS[name])}
        (folder / "search.toml").write_text(CONFIG.format(optimizers=list(OPTIMIZERS), **values))
        run = [sys.executable, "-m", "pipeline", "run", "search.toml", "--progress", "plain"]
        return [*run, "--app-dir", str(HERE)]

    return command


def by_script(script: str) -> Command:
    """Return what returns the command that runs a script of this file."""
    return lambda name, folder, seed: [
        *(sys.executable, __file__, "--script", script),
        *("--task", name, "--seed", str(seed)),
    ]


WAYS: Mapping[str, Command] = {
    'lrrt run, "arms"': by_lrrt("arms"),
    'lrrt run, "tpe"': by_lrrt("tpe"),
    "Optuna and fit": by_script("optuna"),
    "KerasTuner": by_script("keras_tuner"),
}


def train(task: Task, optimizer: str, rate: float) -> float:
    """Train as a user of Keras does, say what the trial reached, and return it."""
    import keras

    keras.backend.clear_session()
    module = importlib.import_module(task.module)
    data, model = module.load_data(), module.build_model()
    model.compile(keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": rate}}), model.loss)
    options = {
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "validation_data": data["validation"],
        "verbose": 0,
    }
    losses = model.fit(*data["train"], **options).history["val_loss"]
    score = min((loss for loss in losses if math.isfinite(loss)), default=1e3)
    print(f"score {score}", flush=True)
    return float(score)


def search_with_optuna(task: Task, seed: int) -> None:
    import optuna

    def judge(trial: optuna.Trial) -> float:
        optimizer = trial.suggest_categorical("optimizer", OPTIMIZERS)
        return train(task, optimizer, trial.suggest_float(f"lr_{optimizer}", 1e-5, 1e-1, log=True))

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(judge, n_trials=MANY)


def search_with_keras_tuner(task: Task, seed: int) -> None:
    import keras_tuner

    class Tuner(keras_tuner.BayesianOptimization):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            hp = trial.hyperparameters
            optimizer = hp.Choice("optimizer", list(OPTIMIZERS))
            with hp.conditional_scope("optimizer", [optimizer]):
                return train(task, optimizer, hp.Float(f"lr_{optimizer}", 1e-5, 1e-1, sampling="log"))

    with tempfile.TemporaryDirectory() as folder:
        Tuner(max_trials=MANY, seed=seed + 1, directory=folder, project_name="search").search()


def measure(command: Command, name: str, seed: int, limit_s: float) -> list[tuple[float, float]]:
    """Run a search for so long; return after how many seconds each trial ended, and its score: none if it is slow."""
    history = []
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = subprocess.Popen(
            command(name, Path(folder), seed),
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := SCORE.search(line):
                history.append((time.monotonic() - began, float(found[1])))
        timer.cancel()
        process.wait()
    if not history and process.returncode != -signal.SIGKILL:
        raise SystemExit(f"A search must train until its time is over, but this one ended:\n{''.join(lines)}")
    return history


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--seeds", type=count, default=3)
    parser.add_argument("--seconds", type=duration, default=60.0, help="for each search")
    parser.add_argument("--script", choices=["optuna", "keras_tuner"], help="run this script; measure nothing")
    parser.add_argument("--seed", type=int, default=0, help="of the script")
    options = parser.parse_args()
    if options.script:
        search = search_with_optuna if options.script == "optuna" else search_with_keras_tuner
        search(TASKS[options.task], options.seed)
        return
    histories: dict[str, list[list[tuple[float, float]]]] = {way: [] for way in WAYS}
    for seed in range(options.seeds):
        for way, command in WAYS.items():
            histories[way].append(measure(command, options.task, seed, options.seconds))
    scores = [score for each in histories.values() for history in each for _, score in history]
    if not scores:
        raise SystemExit(f"No trial of any search ended in {options.seconds:g} s: give more with --seconds.")
    best = min(scores)
    target = best + NEAR * (math.log(10) - best)
    rows = []
    for way, each in histories.items():
        seconds = [next((at for at, score in one if score <= target), options.seconds) for one in each]
        missed = sum(all(score > target for _, score in one) for one in each)
        first = statistics.median(one[0][0] if one else options.seconds for one in each)
        trials = statistics.median(len(one) for one in each)
        rows.append((way, statistics.fmean(seconds), statistics.median(seconds), missed, first, trials))
    ours = rows[0][1]
    heads = ("", "mean, s", "median, s", "missed", "first trial, s", f"trials in {options.seconds:g} s", "times ours")
    title = (
        f"{options.task}: until a model within {NEAR:.0%} of the best score, {best:.3g}; {options.seeds} searches each"
    )
    show(Table(title, heads, tuple((*row, row[1] / ours) for row in rows)))


if __name__ == "__main__":
    main()
