"""Seconds a trial: our study against an Optuna objective with `fit` and against KerasTuner's RandomSearch.

    python benchmarks/study_speed.py digits_mlp [--trials 9]
    python benchmarks/study_speed.py convnet [--trials 6]      # where Fashion-MNIST is, see examples/fashion_mnist.py

The convnet is not trained by XLA, which makes convolutions on a CPU many times slower.

Same model, data, epochs, batch size and range of rates (Adam, 1e-5 to 1e-1, fixed). Each way does its trials in one
process, as a user would run it, and is warm after one trial that is not counted. Ours keeps its study in SQLite on
disk, KerasTuner in its directory, Optuna's in memory.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import keras
import keras_tuner
import numpy as np
import optuna
from arguments import count
from tables import compare, show

from lrrt import Loops
from pipeline.digits_example import load_data as load_digits
from studies import OptimizerRange, OptunaStudy, SearchSpace, Trainer, Watcher

LOW, HIGH = 1e-5, 1e-1
OURS = "lrrt"
IN_A_ROW = 3  # trials of one way before the next way's turn, as a study runs them


@dataclass(frozen=True)
class Task:
    """What is trained."""

    build_model: Callable[[], keras.Model]
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    batch_size: int
    epochs: int


def digits_mlp() -> Task:
    """Two dense layers on 8 x 8 digits: where the cost of Keras itself is all there is."""

    def build_model() -> keras.Model:
        layers = keras.layers
        model = keras.Sequential(
            [layers.Input((64,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(10, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    data = load_digits()
    return Task(build_model, data["train"], data["validation"], 32, 12)


def convnet() -> Task:
    """The article's network on 4,000 images of Fashion-MNIST: where arithmetic is most of the cost."""
    import few_images

    data = few_images.load_data()
    return Task(few_images.build_model, data["train"], data["validation"], 250, 4)


def with_rate(task: Task, rate: float) -> keras.Model:
    """Build a model whose optimizer has this rate."""
    model = task.build_model()
    model.optimizer.learning_rate = rate
    return model


def by_lrrt(task: Task, folder: str, num_trials: int, *, jit: bool = False) -> Iterator[None]:
    """Do one trial at each `next`: one study runs in a thread that waits after each trial."""
    loops = Loops(
        task.build_model, task.train, optimizers=["adam"], batch_size=task.batch_size, validation_data=task.validation
    )
    trainer = Trainer(loops, epochs=task.epochs, patience=None, jit=jit)
    space = SearchSpace((OptimizerRange("adam", LOW, HIGH),), ("fixed",), (task.batch_size,))
    may_go_on, has_ended = threading.Semaphore(0), threading.Semaphore(0)

    class Waiting(Watcher):
        """Waits after each trial."""

        def on_trial_end(self, trained: object) -> None:
            has_ended.release()
            may_go_on.acquire()

    def search() -> None:
        may_go_on.acquire()
        study = OptunaStudy(space, storage=f"sqlite:///{folder}/study-{jit}.db")
        study.run(trainer, num_trials=num_trials + 1, watcher=Waiting())

    thread = threading.Thread(target=search)
    thread.start()
    for _ in range(num_trials + 1):
        may_go_on.release()
        has_ended.acquire()
        yield
    may_go_on.release()
    thread.join()


def by_optuna(task: Task, folder: str, num_trials: int) -> Iterator[None]:
    """Do one trial at each `next`."""

    def objective(trial: optuna.Trial) -> float:
        keras.backend.clear_session()
        gc.collect()
        model = with_rate(task, trial.suggest_float("lr", LOW, HIGH, log=True))
        history = model.fit(
            *task.train, batch_size=task.batch_size, epochs=task.epochs, validation_data=task.validation, verbose=0
        )
        return min(history.history["val_loss"])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    while True:
        study.optimize(objective, n_trials=1)
        yield


def by_keras_tuner(task: Task, folder: str, num_trials: int) -> Iterator[None]:
    """Do one trial at each `next`."""

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        return with_rate(task, hp.Float("lr", LOW, HIGH, sampling="log"))

    tuner = keras_tuner.RandomSearch(build, "val_loss", max_trials=1, directory=folder, project_name="tuner", seed=1)
    while True:
        tuner.search(
            *task.train, batch_size=task.batch_size, epochs=task.epochs, validation_data=task.validation, verbose=0
        )
        tuner.oracle.max_trials += 1
        yield


OURS_IN_XLA = f"{OURS}, jit = true"
WAYS = {
    OURS: by_lrrt,
    OURS_IN_XLA: partial(by_lrrt, jit=True),
    "Optuna, fit in the objective": by_optuna,
    "KerasTuner RandomSearch": by_keras_tuner,
}


TASKS = {"digits_mlp": digits_mlp, "convnet": convnet}


def main() -> None:
    """Measure a task: a few trials of each way in turn."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument(
        "--trials", type=partial(count, least=IN_A_ROW), default=9, help=f"of each way, {IN_A_ROW} in a row"
    )
    options = parser.parse_args()
    task = TASKS[options.task]()
    ways = {way: run for way, run in WAYS.items() if options.task == "digits_mlp" or way != OURS_IN_XLA}
    samples: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        running = {way: run(task, folder, options.trials) for way, run in ways.items()}
        for way, trials in running.items():
            began = time.perf_counter()
            next(trials)
            print(f"{options.task}: first trial of {way}: {time.perf_counter() - began:.2f} s")
        for _ in range(options.trials // IN_A_ROW):
            for way, trials in running.items():
                for _ in range(IN_A_ROW):
                    began = time.perf_counter()
                    next(trials)
                    samples[way].append(time.perf_counter() - began)
        for way in ways.keys() & {OURS, OURS_IN_XLA}:
            next(running[way], None)  # lets the study's thread end
    what = f"{len(task.train[0]):,} samples, batches of {task.batch_size}, {task.epochs} epochs"
    show(compare(f"A trial of {options.task}, {what}, s", samples, ours=OURS))


if __name__ == "__main__":
    main()
