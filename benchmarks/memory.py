"""Resident memory while one process does trial after trial: ours must stay flat after the tenth.

    python benchmarks/memory.py [--trials 200] [--fits 20]

Beside ours stands an Optuna objective that builds a model and calls `fit`, once with Keras's session cleared before
each trial and once without. Each way has a process of its own, and all train the digits MLP for 12 epochs.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from arguments import count
from tables import Table, show

TENTH = 10
EPOCHS, BATCH_SIZE = 12, 32


def main() -> None:
    """Run each way in its process, and print a row for each."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--trials", type=count, default=200, help="of ours")
    parser.add_argument("--fits", type=count, default=20, help="trials of the others, which take longer")
    options = parser.parse_args()
    ways: dict[str, tuple[Callable[[], Iterator[None]], int]] = {
        "lrrt": (by_lrrt, options.trials),
        "Optuna with fit, session cleared": (partial(by_fit, clears=True), options.fits),
        "Optuna with fit, nothing cleared": (partial(by_fit, clears=False), options.fits),
    }
    rows = []
    for way, (run, num_trials) in ways.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            early, late = pool.apply(measure, (run, num_trials))
        rows.append((way, num_trials, early, late, (late - early) / (num_trials - TENTH)))
    heads = ("", "trials", f"after {TENTH}, MiB", "after all, MiB", "a trial, MiB")
    show(Table("Resident memory of one process, digits MLP, sgd and adam", heads, tuple(rows)))


def measure(run: Callable[[], Iterator[None]], num_trials: int) -> tuple[float, float]:
    """Return the resident memory after ten trials and after all, in MiB."""
    early = 0.0
    for number, _ in zip(range(1, num_trials + 1), run(), strict=False):
        if number == TENTH:
            early = resident_mib()
    return early, resident_mib()


def resident_mib() -> float:
    """Return this process's resident memory in MiB, as Linux counts it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def by_lrrt() -> Iterator[None]:
    """Do one trial of a study at each `next`: two optimizers, three schedules."""
    from lrrt import Loops
    from pipeline.digits_example import build_model, load_data
    from studies import OptimizerRange, OptunaStudy, SearchSpace, Trainer

    data = load_data()
    loops = Loops(build_model, data["train"], optimizers=["sgd", "adam"], validation_data=data["validation"])
    space = SearchSpace(
        (OptimizerRange("sgd", 1e-2, 1.0), OptimizerRange("adam", 1e-4, 1e-2)), ("fixed", "exponential", "triangular")
    )
    trainer = Trainer(loops, epochs=EPOCHS, patience=None)
    with tempfile.TemporaryDirectory() as folder:
        study, number = OptunaStudy(space, storage=f"sqlite:///{folder}/study.db"), 0
        while True:
            number += 1
            study.run(trainer, num_trials=number)
            yield


def by_fit(*, clears: bool) -> Iterator[None]:
    """Do one trial with `fit` at each `next`."""
    import keras
    import optuna

    from pipeline.digits_example import build_model, load_data

    data = load_data()

    def objective(trial: optuna.Trial) -> float:
        if clears:
            keras.backend.clear_session()
            gc.collect()
        model, name = build_model(), trial.suggest_categorical("optimizer", ["sgd", "adam"])
        optimizer = keras.optimizers.get(name)
        optimizer.learning_rate = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        model.compile(optimizer, model.loss)
        options = {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "validation_data": data["validation"], "verbose": 0}
        return min(model.fit(*data["train"], **options).history["val_loss"])

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    while True:
        study.optimize(objective, n_trials=1)
        yield


if __name__ == "__main__":
    main()
