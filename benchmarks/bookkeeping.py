"""Measure what a trial costs besides its training: seconds, statements and commits of its storage.

The built-in digits example is searched in one process, with its study in SQLite, by TPE and by random search:

    python benchmarks/bookkeeping.py [--trials 60]
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import pipeline
from pipeline.console.events import StudyStarted, TrialDone

SAMPLERS = ("tpe", "random")


def main() -> None:
    """Search once with each sampler, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=60, help="of each study")
    num_trials = parser.parse_args().trials
    names = ("training, ms", "bookkeeping, ms", "statements", "commits")
    print(f"\nA trial of the digits example, one process, SQLite, means of {num_trials} trials")
    print(f"{'sampler':10s}" + "".join(f"{name:>18s}" for name in names))
    for sampler in SAMPLERS:
        print(f"{sampler:10s}" + "".join(f"{figure:18.1f}" for figure in measure(sampler, num_trials)))


def measure(sampler: str, num_trials: int) -> list[float]:
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
    counts, moments = Counter(), {}
    listen(counts)

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


def listen(counts: Counter) -> None:
    """Count the statements and the commits of every engine that is made from now on."""
    from sqlalchemy import Engine, event

    event.listen(Engine, "after_cursor_execute", lambda *_: counts.update(["statements"]))
    event.listen(Engine, "commit", lambda *_: counts.update(["commits"]))


if __name__ == "__main__":
    main()
