"""How soon is a study of thousands of trials looked at? Seconds of each command, in a fresh process, once it has ended.

    python benchmarks/many_trials.py [--trials 2000] [--epochs 5] [--times 5]

The study is run first, on the digits, with values at random, which takes a few minutes for a thousand trials. Beside
`lrrt status`, `lrrt run` once more, which finds nothing to do, and `lrrt report`, which draws all pictures again,
stands a script that opens the same database with Optuna alone and prints its best trial.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from arguments import count
from tables import SPREAD, Table, show, spread

LRRT = (sys.executable, "-m", "pipeline")
CONFIG = """
[task]
build_model = "pipeline.digits_example:build_model"
load_data = "pipeline.digits_example:load_data"
[study]
num_trials = {trials}
epochs = {epochs}
sampler = "random"
top_retrained = 0
"""
OPTUNA = "import optuna; print(optuna.load_study(study_name='lrrt', storage='sqlite:///state/study.db').best_trial)"
WAYS = {
    "lrrt status": (*LRRT, "status", "search.toml"),
    "lrrt run, nothing to do": (*LRRT, "run", "search.toml"),
    "lrrt report": (*LRRT, "report", "search.toml"),
    "Optuna alone, its best trial": (sys.executable, "-c", OPTUNA),
}


def main() -> None:
    """Run each study, then time each look in turn, and print a row for each."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--trials", type=count, nargs="+", default=[2000], help="of each study")
    parser.add_argument("--epochs", type=count, default=5, help="of each trial; each has a loss in the database")
    parser.add_argument("--times", type=count, default=5, help="that each look is timed")
    options = parser.parse_args()
    for trials in options.trials:
        samples: dict[str, list[float]] = {way: [] for way in WAYS}
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "search.toml").write_text(CONFIG.format(trials=trials, epochs=options.epochs))
            subprocess.run([*LRRT, "run", "search.toml", "--progress", "none"], cwd=folder, check=True)
            for _ in range(options.times):
                for way, command in WAYS.items():
                    began = time.perf_counter()
                    subprocess.run(command, cwd=folder, capture_output=True, check=True)
                    samples[way].append(time.perf_counter() - began)
        rows = tuple((way, *spread(values)) for way, values in samples.items())
        epochs = f"{options.epochs} epoch{'s' * (options.epochs > 1)}"
        title = f"A study of {trials:,} trials of {epochs}, until a fresh process has ended, s"
        show(Table(title, ("", *SPREAD), rows))


if __name__ == "__main__":
    main()
