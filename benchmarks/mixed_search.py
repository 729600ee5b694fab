"""How soon does a search among optimizers, schedules, batch sizes, widths, depths and weight decays come near the best?

    python benchmarks/mixed_search.py [--tasks digits wine] [--seeds 5] [--json FILE]

Three optimizers, four schedules, two batch sizes, three widths, two depths, weight decay; all trainings are done. The
ways are those of `study_quality.py`. Each may train as much as `--trainings` full trainings, range tests included, and
is not stopped before. The target is the best score of all searches of the task, and 1, 2 or 5 % of the scale above it;
the scale is the loss of an untrained model minus that best. A missed target counts as one training more than were
allowed. What counts is rows that were trained on, in units of a full training.

With `--json` each search is kept as soon as it is done, and the same command goes on where it was left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import sklearn.datasets
from arguments import count, file_to_write
from oracle_tasks import NEAR
from searches import WAYS, Search
from tables import Table, show

from lrrt import Loops, Ramp, RangeTestResult, run_range_test
from pipeline.digits_example import load_data as load_digits
from studies import LoopCache, OptimizerRange, OptunaStudy, SearchSpace, StopTraining, Trainer, own_dimensions
from studies.storage.whole_file import write_text

COMPARED = (
    "ours",
    "ours, halved",
    "ours, bounds as walls",
    "TPE, 1e-5..1e-1",
    "TPE + Hyperband",
    "KerasTuner Bayesian",
    "KerasTuner Hyperband",
)
OPTIMIZERS = ("sgd", "adam", "rmsprop")
SCHEDULES = ("fixed", "exponential", "triangular", "one_cycle")


def digits() -> Data:
    """8 x 8 digits, 1,077 to train on."""
    data = load_digits()
    return Data(data["train"], data["validation"], 64, 10, (32, 64), 12)


def wine() -> Data:
    """178 wines of three kinds, three quarters to train on."""
    x, y = sklearn.datasets.load_wine(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    is_held_out = [at % 4 == 3 for at in range(len(x))]
    is_trained = [not held_out for held_out in is_held_out]
    return Data((x[is_trained], y[is_trained]), (x[is_held_out], y[is_held_out]), 13, 3, (8, 16), 20)


TASKS = {"digits": digits, "wine": wine}


@dataclass(frozen=True)
class Data:
    """What is trained on, and how long."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    num_inputs: int
    num_classes: int
    batch_sizes: tuple[int, ...]
    epochs: int

    def build_model(self, hp: Any) -> keras.Model:
        """Build a dense network of some width and depth."""
        width, depth = hp.Choice("width", [32, 64, 128], default=64), hp.Choice("depth", [1, 2], default=1)
        layers = [keras.layers.Dense(width, "relu") for _ in range(depth)]
        model = keras.Sequential(
            [keras.layers.Input((self.num_inputs,)), *layers, keras.layers.Dense(self.num_classes, "softmax")]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model


class MixedTask:
    """A task as `searches` takes it; its loops stay in memory, so that seconds say nothing."""

    def __init__(self, data: Data) -> None:
        self.optimizers, self.batch_sizes, self.epochs = OPTIMIZERS, data.batch_sizes, data.epochs
        self.batch_size = data.batch_sizes[0]
        self.loops = Loops(
            data.build_model,
            data.train,
            optimizers=OPTIMIZERS,
            batch_size=self.batch_size,
            validation_data=data.validation,
        )
        self.steps_per_epoch = self.loops.get(OPTIMIZERS[0]).batches.num_batches
        self.own = own_dimensions(data.build_model)
        self.cache = LoopCache(self.loops, max_models=100)

    def space(self, ranges: tuple[OptimizerRange, ...]) -> SearchSpace:
        return SearchSpace(ranges, SCHEDULES, self.batch_sizes, weight_decay=(1e-6, 1e-2), own=self.own)

    def range_test(self, seed: int, optimizers: Sequence[str]) -> RangeTestResult:
        return run_range_test(self.loops, Ramp(), optimizers=optimizers, seed=seed, training_epochs=self.epochs)

    def trainer(self, seed: int) -> Trainer:
        return Trainer(self.cache, epochs=self.epochs, seed=seed, patience=None, jit=False)

    def untrained(self) -> float:
        """Return the loss of trials whose rate is too small to move anything."""
        space = SearchSpace((OptimizerRange("sgd", 1e-12, 2e-12),), batch_sizes=(self.batch_size,))
        study = OptunaStudy(space)
        return float(study.run(Trainer(self.loops, epochs=1, jit=False), num_trials=1)[0].val_losses[0])


History = list[tuple[float, float]]  # after how many full trainings a trial ended, and its score


def run(way: str, task: MixedTask, seed: int, max_trainings: int) -> History:
    """Run one search to its end."""
    search = Search((), task.epochs * task.steps_per_epoch * task.batch_size, max_trainings)
    with contextlib.suppress(StopTraining):
        WAYS[way](task, search, seed)
    return search.history


def show_task(name: str, untrained: float, histories: Mapping[str, Sequence[History]], max_trainings: int) -> None:
    """Show the trainings that each way took to each target, means and medians, and how many missed it."""
    best = min(score for each in histories.values() for history in each for _, score in history)
    rows = []
    for way, each in histories.items():
        cells: list[float | int] = []
        for near in NEAR:
            target = best + near * (untrained - best)
            taken = [next((at for at, score in one if score <= target), max_trainings + 1) for one in each]
            cells += [statistics.fmean(taken), statistics.median(taken), sum(at > max_trainings for at in taken)]
        rows.append((way, *cells))
    heads = ("", *(head for near in NEAR for head in (f"within {near:.0%}", "median", "missed")))
    num = min(map(len, histories.values()))
    show(
        Table(f"{name}: full trainings until near the best, {best:.3g}, {num} searches each, means", heads, tuple(rows))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(COMPARED))
    parser.add_argument("--seeds", type=count, default=5)
    parser.add_argument("--trainings", type=count, default=20, help="full trainings that a search may take")
    parser.add_argument("--json", type=file_to_write, help="where searches are kept")
    options = parser.parse_args()
    kept: dict[str, Any] = {}
    if options.json and options.json.exists():
        kept = json.loads(options.json.read_text(encoding="utf-8"))
    for name in options.tasks:
        task = MixedTask(TASKS[name]())
        histories: dict[str, list[History]] = {way: [] for way in options.ways}
        for seed in range(options.seeds):
            for way, of_way in histories.items():
                key = f"{name}: {way}: {options.trainings} trainings: seed {seed}"
                if key not in kept:
                    kept[key] = run(way, task, seed, options.trainings)
                    if options.json:
                        write_text(options.json, json.dumps(kept))
                of_way.append(kept[key])
        show_task(name, task.untrained(), histories, options.trainings)


if __name__ == "__main__":
    main()
