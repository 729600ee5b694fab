"""Measure what a trial costs besides its training: milliseconds, statements and commits of its storage.

    python benchmarks/bookkeeping.py [--trials 60]

lrrt searches the built-in digits example in one process, with its study in SQLite, as a user runs it. Beside it stand
the libraries alone, which propose the same kind of values and store a score without any training: Optuna in SQLite and
KerasTuner in its folder of JSON files. They store no losses, no attempts and no heartbeats.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from arguments import count
from tables import Table, show

import pipeline
from pipeline.console.events import StudyStarted, TrialDone
from studies import OptimizerRange, SearchSpace

SAMPLERS = ("tpe", "random")
SPACE = SearchSpace(
    (OptimizerRange("sgd", 1e-2, 1.0), OptimizerRange("adam", 1e-4, 1e-2)), ("fixed", "exponential", "triangular")
)
SCORE = 0.5  # of each trial of a library alone


def main() -> None:
    """Search once in each way, and print a row for each."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--trials", type=count, default=60, help="of each study")
    num_trials = parser.parse_args().trials
    counts: Counter[str] = Counter()
    listen(counts)
    rows = [(f"lrrt, {sampler}", *by_lrrt(sampler, num_trials, counts)) for sampler in SAMPLERS]
    rows.append(("Optuna alone, tpe", *by_optuna(num_trials, counts)))
    rows.append(("KerasTuner alone, random", *by_keras_tuner(num_trials)))
    heads = ("", "training, ms", "all else, ms", "statements", "commits")
    show(Table(f"A trial of the digits example, means of {num_trials} trials", heads, tuple(rows)))


def by_lrrt(sampler: str, num_trials: int, counts: Counter[str]) -> list[float]:
    """Return milliseconds of training and of everything else, statements and commits, each of one trial."""
    config = pipeline.builtin_config(
        {
            "study.num_trials": num_trials,
            "study.sampler": sampler,
            "study.top_retrained": 0,
            "range_test.repeats": 1,
        },
        environ={},
    )
    moments: dict[str, Any] = {}

    def on_event(event: object) -> None:
        if isinstance(event, StudyStarted):
            counts.clear()
            moments["start"] = time.perf_counter()
        if isinstance(event, TrialDone):
            moments["end"] = time.perf_counter()
            moments["counts"] = dict(counts)

    with tempfile.TemporaryDirectory() as folder:
        report = pipeline.run_stage(config, out=Path(folder, "out"), state=Path(folder, "state"), on_event=on_event)
    training_s = sum(trial.seconds for trial in report.trials)
    others_s = moments["end"] - moments["start"] - training_s
    sums = (1000 * training_s, 1000 * others_s, moments["counts"]["statements"], moments["counts"]["commits"])
    return [figure / num_trials for figure in sums]


def by_optuna(num_trials: int, counts: Counter[str]) -> list[float | None]:
    """Return the same of Optuna alone."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> float:
        SPACE.suggest(trial)
        return SCORE

    with tempfile.TemporaryDirectory() as folder:
        study = optuna.create_study(storage=f"sqlite:///{folder}/study.db")
        study.optimize(objective, n_trials=1)  # the first one loads modules
        counts.clear()
        began = time.perf_counter()
        study.optimize(objective, n_trials=num_trials)
        sums = (1000 * (time.perf_counter() - began), counts["statements"], counts["commits"])
    return [None, *(figure / num_trials for figure in sums)]


def by_keras_tuner(num_trials: int) -> list[float | None]:
    """Return the same of KerasTuner alone, which has no database."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    SPACE.suggest(hp)

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
        def run_trial(self, trial: Any) -> float:
            return SCORE

    oracle = keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective("default_objective", "min"), max_trials=num_trials, hyperparameters=hp, seed=1
    )
    oracle.verbose = 0
    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(oracle, directory=folder, project_name="search")
        began = time.perf_counter()
        tuner.search()
        ended = time.perf_counter()
    return [None, 1000 * (ended - began) / num_trials, None, None]


def listen(counts: Counter[str]) -> None:
    """Count the statements and the commits of every engine that is made from now on."""
    from sqlalchemy import Engine, event

    event.listen(Engine, "after_cursor_execute", lambda *_: counts.update(["statements"]))
    event.listen(Engine, "commit", lambda *_: counts.update(["commits"]))


if __name__ == "__main__":
    main()
