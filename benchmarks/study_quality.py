"""How soon does a search reach what the oracle knows to be possible: ours, range test included, against plain searches.

    python benchmarks/study_quality.py ORACLE_FOLDER [--tasks NAME ...] [--seeds N] [--trials N] [--json FILE]

ORACLE_FOLDER holds `tasks.py` (`NAMES`, `OPTIMIZERS`, `load(name)`) and `oracle.json`: for each task and optimizer the
validation loss before training and the best one of a full training at each of a dense grid of fixed rates.

Every way searches the optimizer, of all of the task's, and its fixed rate. All train with the same trainer, from the
same initial weights for one seed, so that they differ by what they propose alone. A way has reached its end at the
first trial whose best validation loss lies within 2 % of the scale above the oracle's lowest; the scale is the loss
before training minus the lowest. What has not reached it counts as one trial more than were allowed.

ours: Optuna's TPE inside the bounds of range tests, whose suggestions come first. Its epochs and seconds include the
range tests, whose steps are counted as parts of epochs.
TPE, 1e-6..10 and TPE, 1e-5..1e-1: the same sampler without range tests; a trial that diverged is told as a penalty.
KerasTuner, 1e-5..1e-1: its own BayesianOptimization, told the same penalty.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lrrt import Loops, Ramp, run_range_test
from studies import OptimizerRange, OptunaStudy, SearchSpace, StopTraining, Trained, Trainer
from studies.study import told_score

NEAR = 0.02  # of the scale
OURS = "ours"
WIDE, USUAL = (1e-6, 10.0), (1e-5, 1e-1)
MEASURES = ("trials", "epochs", "seconds")


@dataclass(frozen=True, slots=True)
class Reached:
    """What it took to come near the oracle's best; `trials` is one more than allowed where that did not happen."""

    trials: int
    epochs: float
    seconds: float


class Search:
    """Counts the trials of one search and ends it when it has come near enough."""

    def __init__(self, target: float, max_trials: int) -> None:
        self.target, self.max_trials = target, max_trials
        self.began, self.results, self.has_reached = time.monotonic(), [], False

    def on_trial(self, trained: Trained) -> None:
        self.results.append(trained.result)
        score = trained.result.score
        if score is not None and score <= self.target:
            self.has_reached = True
            raise StopTraining

    def reached(self) -> Reached:
        trials = len(self.results) if self.has_reached else self.max_trials + 1
        epochs = sum(len(result.train_losses) for result in self.results)
        return Reached(trials, epochs, time.monotonic() - self.began)


def search_ours(loops: Loops, trainer: Trainer, search: Search, seed: int) -> Reached:
    range_test = run_range_test(loops, Ramp(), seed=seed)
    space = SearchSpace.from_bounds(range_test.bounds, fallback_range=USUAL, batch_sizes=(loops.batch_size,))
    run_optuna(space, trainer, search, seed)
    steps = sum(len(curve.losses) for curves in range_test.curves.values() for curve in curves)
    batches_per_epoch = loops.get(next(iter(loops.patterns))).batches.num_batches
    found = search.reached()
    return Reached(found.trials, found.epochs + steps / batches_per_epoch, found.seconds)


def search_range(low: float, high: float) -> Callable[[Loops, Trainer, Search, int], Reached]:
    def run(loops: Loops, trainer: Trainer, search: Search, seed: int) -> Reached:
        run_optuna(plain_space(loops, low, high), trainer, search, seed)
        return search.reached()

    return run


def search_keras_tuner(loops: Loops, trainer: Trainer, search: Search, seed: int) -> Reached:
    """Run KerasTuner's own oracle, untouched, on our trainer."""
    import keras_tuner

    space = plain_space(loops, *USUAL)

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
        def run_trial(self, trial: Any) -> float:
            trained = trainer.train(space.suggest(trial.hyperparameters))
            told = told_score(trained.result, search.results)
            search.on_trial(trained)
            return told

    hp = keras_tuner.HyperParameters()
    space.suggest(hp)
    oracle = keras_tuner.oracles.BayesianOptimizationOracle(
        keras_tuner.Objective("default_objective", "min"),
        max_trials=search.max_trials,
        seed=seed + 1,  # KerasTuner takes 0 for no seed
        hyperparameters=hp,
    )
    oracle.verbose = 0
    with tempfile.TemporaryDirectory() as folder:
        run_to_target(Tuner(oracle, directory=folder, project_name="search").search)
    return search.reached()


WAYS: Mapping[str, Callable[[Loops, Trainer, Search, int], Reached]] = {
    OURS: search_ours,
    "TPE, 1e-6..10": search_range(*WIDE),
    "TPE, 1e-5..1e-1": search_range(*USUAL),
    "KerasTuner, 1e-5..1e-1": search_keras_tuner,
}


def run_optuna(space: SearchSpace, trainer: Trainer, search: Search, seed: int) -> None:
    study = OptunaStudy(space, seed=seed)
    run_to_target(lambda: study.run(trainer, num_trials=search.max_trials, on_trial=search.on_trial))


def run_to_target(run: Callable[[], Any]) -> None:
    try:
        run()
    except StopTraining:
        return


def plain_space(loops: Loops, low: float, high: float) -> SearchSpace:
    ranges = tuple(OptimizerRange(name, low, high) for name in loops.patterns)
    return SearchSpace(ranges, batch_sizes=(loops.batch_size,))


def target_of(truth: Mapping[str, Any]) -> float:
    """Return the loss that is within 2 % of the scale of the lowest one of all the task's optimizers."""
    start = max(case["init_val_loss"] for case in truth.values())
    means = []
    for case in truth.values():
        runs = [[start if loss is None else min(loss, start) for loss in seed] for seed in case["best_val_loss"]]
        means += [statistics.fmean(losses) for losses in zip(*runs, strict=True)]
    return min(means) + NEAR * (start - min(means))


def load_tasks(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("oracle_tasks", folder / "tasks.py")
    assert spec is not None, "the path is that of a Python file"
    assert spec.loader is not None, "so is its loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def loops_of(tasks: ModuleType, name: str) -> tuple[Loops, int]:
    task = tasks.load(name)

    def build() -> Any:
        model = task.build()
        model.compile("sgd", task.loss)
        return model

    loops = Loops(
        build,
        (task.x, task.y),
        optimizers={label: make() for label, make in tasks.OPTIMIZERS.items()},
        batch_size=task.batch_size,
        validation_data=(task.x_val, task.y_val),
    )
    return loops, task.epochs


def measure(tasks: ModuleType, name: str, target: float, seeds: int, trials: int) -> dict[str, list[Reached]]:
    loops, epochs = loops_of(tasks, name)
    warm_up(loops)
    samples: dict[str, list[Reached]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        trainer = Trainer(loops, epochs=epochs, seed=seed, patience=None)
        for way, run in WAYS.items():
            samples[way].append(run(loops, trainer, Search(target, trials), seed))
    return samples


def warm_up(loops: Loops) -> None:
    """Trace every loop, so that no way pays for it."""
    space = plain_space(loops, *USUAL)
    trainer = Trainer(loops, epochs=1)
    for found in space.optimizers:
        one = SearchSpace((found,), batch_sizes=space.batch_sizes)
        OptunaStudy(one).run(trainer, num_trials=1)


def print_task(name: str, target: float, samples: Mapping[str, Sequence[Reached]], trials: int) -> None:
    print(f"\n{name}: validation loss {target:.4g}, medians of {len(samples[OURS])} seeds")
    print(f"{'way':28s} {'trials':>8s} {'epochs':>8s} {'seconds':>8s} {'reached':>8s}")
    for way, found in samples.items():
        medians = [statistics.median(getattr(one, measure) for one in found) for measure in MEASURES]
        share = sum(one.trials <= trials for one in found) / len(found)
        print(f"{way:28s} {medians[0]:8.1f} {medians[1]:8.1f} {medians[2]:8.2f} {share:8.0%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("oracle", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["digits_mlp", "digits_deep", "cancer_mlp", "wine_tanh"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40, help="that a search may take")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tasks = load_tasks(options.oracle)
    oracle = json.loads((options.oracle / "oracle.json").read_text(encoding="utf-8"))
    found, ratios = {}, []
    for name in options.tasks:
        target = target_of(oracle[name])
        samples = measure(tasks, name, target, options.seeds, options.trials)
        print_task(name, target, samples, options.trials)
        medians = {way: statistics.median(one.trials for one in taken) for way, taken in samples.items()}
        ratios.append(medians[OURS] / min(taken for way, taken in medians.items() if way != OURS))
        print(f"{'ours to the best of the others':28s} {ratios[-1]:8.2f}")
        found[name] = {way: [asdict(one) for one in taken] for way, taken in samples.items()}
    print(f"\ntrials, ours to the best of the others, on the median task: {statistics.median(ratios):.2f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
