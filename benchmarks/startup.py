"""Seconds until a command answers or a package is imported, each in a fresh process.

    python benchmarks/startup.py [--times 9]

The commands are asked as a shell or a script asks them; beside them stand the imports of the libraries that a script of
the user's own would begin with.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from arguments import count
from tables import SPREAD, Table, show, spread

LRRT = (sys.executable, "-m", "pipeline")
WAYS: dict[str, Sequence[str]] = {
    "python alone": (sys.executable, "-c", ""),
    "lrrt --help": (*LRRT, "--help"),
    "lrrt status": (*LRRT, "status"),
    "import lrrt, studies, pipeline": (sys.executable, "-c", "import lrrt, studies, pipeline"),
    "lrrt validate, which builds the model": (*LRRT, "validate", "search.toml"),
    "import optuna": (sys.executable, "-c", "import optuna"),
    "import keras": (sys.executable, "-c", "import keras"),
    "import keras, keras_tuner, optuna": (sys.executable, "-c", "import keras, keras_tuner, optuna"),
}


def main() -> None:
    """Start each in turn, and print a row for each; the first round warms the disk."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--times", type=count, default=9, help="that each is started")
    times = parser.parse_args().times
    samples: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        with Path(folder, "search.toml").open("w") as file:
            subprocess.run([*LRRT, "init"], stdout=file, check=True)
        for _ in range(1 + times):
            for way, command in WAYS.items():
                began = time.perf_counter()
                subprocess.run(command, cwd=folder, capture_output=True, check=True)
                samples[way].append(time.perf_counter() - began)
    rows = tuple((way, *spread(values[1:])) for way, values in samples.items())
    show(Table("Until a fresh process has ended, s", ("", *SPREAD), rows))


if __name__ == "__main__":
    main()
