"""Train each task at a grid of fixed rates, which is the truth that bounds are scored against.

    python benchmarks/make_oracle.py FOLDER [--seeds N] [--tasks NAME ..]

FOLDER holds `tasks.py`, as `bounds_quality.py` reads it, and gets `oracle.json`: for each task and optimizer the
validation loss before training, how many updates a full training has, and the best validation loss of one at each of
two rates a decade, for each seed. It is null where a training diverged in its first epoch. After two rates in a row
that did not improve on the loss before training, while a lower rate did, higher rates are null too, and not trained.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from types import ModuleType
from typing import Any

import numpy as np
from arguments import count, folder_with, known
from recorded import compiled, load_tasks

from lrrt import Loops

RATES = [float(f"{rate:.3g}") for rate in np.geomspace(1e-5, 1e2, 15)]
NUM_TOO_HIGH = 2  # rates in a row, after which higher ones are not trained


def main() -> None:
    """Train, and write after each task."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=folder_with("tasks.py"), help="where tasks.py is")
    parser.add_argument("--seeds", type=count, default=1)
    parser.add_argument("--tasks", nargs="+", help="some of them; what oracle.json holds of the others stays")
    options = parser.parse_args()
    tasks, path = load_tasks(options.folder / "tasks.py"), options.folder / "oracle.json"
    oracle = json.loads(path.read_text()) if path.exists() else {}
    for name in known(parser, "--tasks", options.tasks, tasks.NAMES):
        oracle[name] = truths(tasks, name, options.seeds)
        path.write_text(as_text(oracle))


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
    truth = {}
    for label in loops.patterns:
        loop, began = loops.get(label), time.process_time()
        loop.restart(loops.initial_weights(0))
        start = rounded(loop.validate())
        truth[label] = {
            "num_updates": task.epochs * loop.batches.num_batches,
            "rates": RATES,
            "init_val_loss": start,
            "best_val_loss": [best_by_rate(loops, label, task.epochs, seed, start) for seed in range(num_seeds)],
        }
        print(f"{name} {label}: {time.process_time() - began:.0f} s of CPU", flush=True)
    return truth


def best_by_rate(loops: Loops, label: str, epochs: int, seed: int, start: float) -> list[float | None]:
    """Return the lowest validation loss at each rate; those far above a rate that is too high are not trained."""
    losses: list[float | None] = []
    for rate in RATES:
        improves = [loss is not None and loss < start for loss in losses]
        if any(improves) and not any(improves[-NUM_TOO_HIGH:]):
            losses.append(None)
        else:
            losses.append(best_of_training(loops, label, rate, epochs, seed))
    return losses


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
    return rounded(lowest) if math.isfinite(lowest) else None


def rounded(loss: float) -> float:
    return float(f"{loss:.6g}")


def as_text(oracle: dict[str, Any]) -> str:
    """Return the tables as JSON, with one line for each case."""
    tasks = (
        f"{json.dumps(task)}: {{\n"
        + ",\n".join(f"  {json.dumps(label)}: {json.dumps(case)}" for label, case in cases.items())
        for task, cases in sorted(oracle.items())
    )
    return "{\n " + "\n },\n ".join(tasks) + "\n }\n}\n"


if __name__ == "__main__":
    main()
