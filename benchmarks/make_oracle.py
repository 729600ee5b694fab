"""The truth that bounds are scored against: full trainings of each task at a grid of fixed rates.

    python benchmarks/make_oracle.py FOLDER [--seeds N] [--tasks NAME ..]

FOLDER holds `tasks.py`, as `bounds_quality.py` reads it, and gets `oracle.json`: for each task and optimizer the
validation loss before training, and the best one of a full training at each of two rates a decade, for each seed.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from bounds_quality import compiled, load_tasks

from lrrt import Loops

RATES = [float(f"{rate:.3g}") for rate in np.geomspace(1e-5, 1e2, 15)]


def main() -> None:
    """Train, and write after each task."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, help="where tasks.py is")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", help="some of them; what oracle.json holds of the others stays")
    options = parser.parse_args()
    tasks, path = load_tasks(options.folder / "tasks.py"), options.folder / "oracle.json"
    oracle = json.loads(path.read_text()) if path.exists() else {}
    for name in options.tasks or tasks.NAMES:
        oracle[name] = truths(tasks, name, options.seeds)
        path.write_text(json.dumps(oracle, indent=1))


def truths(tasks: ModuleType, name: str, num_seeds: int) -> dict[str, Any]:
    """Return what full trainings of a task reach, by optimizer."""
    task = tasks.load(name)
    loops = Loops(
        lambda: compiled(task),
        (task.x, task.y),
        optimizers={label: make() for label, make in tasks.OPTIMIZERS.items()},
        batch_size=task.batch_size,
        validation_data=(task.x_val, task.y_val),
    )
    found = {}
    for label in loops.patterns:
        loop = loops.get(label)
        loop.restart(loops.initial_weights(0))
        start = loop.validate()
        best = [
            [best_of_training(loops, label, rate, task.epochs, seed) for rate in RATES] for seed in range(num_seeds)
        ]
        found[label] = {"rates": RATES, "init_val_loss": start, "best_val_loss": best}
        print(name, label, flush=True)
    return found


def best_of_training(loops: Loops, label: str, rate: float, epochs: int, seed: int) -> float | None:
    """Return the lowest validation loss of a training at a fixed rate, None where it diverges in its first epoch."""
    loop, rng = loops.get(label), np.random.default_rng(seed)
    loop.restart(loops.initial_weights(seed))
    lowest = math.inf
    for _ in range(epochs):
        if not loop.train(np.full(loop.batches.num_batches, rate), rng).is_finite:
            break
        val_loss = loop.validate()
        if not math.isfinite(val_loss):
            break
        lowest = min(lowest, val_loss)
    return lowest if math.isfinite(lowest) else None


if __name__ == "__main__":
    main()
