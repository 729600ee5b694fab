"""How soon does a search reach what the oracle knows to be possible: ours, range test included, against plain searches.

    python benchmarks/study_quality.py ORACLE_FOLDER [--together] [--tasks NAME ...] [--seeds N] [--json FILE]

ORACLE_FOLDER holds `tasks.py` (`NAMES`, `OPTIMIZERS`, `load(name)`) and `oracle.json`: for each task and optimizer the
validation loss before training and the best one of a full training at each of a dense grid of fixed rates.

Each of a task's optimizers is searched for its fixed rate; a task's figures are medians over optimizers and seeds. With
`--together` one search chooses among all of the task's optimizers as well. All ways train with the same trainer, on
loops traced before, from the same initial weights for one seed, so that they differ by what they propose alone. A way
has reached its end at the first trial whose best validation loss lies within 2 % of the scale above the oracle's
lowest; the scale is the loss before training minus the lowest. What has not reached it counts as one trial more than
were allowed.

ours: Optuna's TPE inside the bounds of range tests (the default call, 3 x 100 steps an optimizer), whose suggestions
come first. The range tests are in its count: in trials as their steps over the steps of a full trial, in epochs
likewise, in seconds as they took.
TPE, 1e-6..10 and TPE, 1e-5..1e-1: the same sampler without range tests; a trial that diverged is told as a penalty.
KerasTuner, 1e-5..1e-1: its own BayesianOptimization, told the same penalty.

With `--json` each group of searches is kept as soon as it is done, and the same command goes on where it was left.
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
from studies.whole_file import write_whole

NEAR = 0.02  # of the scale
OURS = "ours"
WIDE, USUAL = (1e-6, 10.0), (1e-5, 1e-1)
MEASURES = ("trials", "epochs", "seconds")


@dataclass(frozen=True, slots=True)
class Reached:
    """What it took to come near the oracle's best, range test included; one trial more than allowed where it did not.

    `range_test` is the part of `trials` that range tests were, in full trainings.
    """

    trials: float
    epochs: float
    seconds: float
    is_reached: bool
    range_test: float = 0.0


Samples = dict[str, list[Reached]]  # by way


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

    def reached(self, *, range_test: float = 0.0, epochs_per_trial: int = 0) -> Reached:
        trials = len(self.results) if self.has_reached else self.max_trials + 1
        epochs = sum(len(result.train_losses) for result in self.results) + range_test * epochs_per_trial
        seconds = time.monotonic() - self.began
        return Reached(trials + range_test, epochs, seconds, self.has_reached, range_test)


def search_ours(loops: Loops, trainer: Trainer, search: Search, seed: int) -> Reached:
    range_test = run_range_test(loops, Ramp(), seed=seed)
    space = SearchSpace.from_bounds(range_test.bounds, fallback_range=USUAL, batch_sizes=(loops.batch_size,))
    run_optuna(space, trainer, search, seed)
    steps_per_epoch = loops.get(next(iter(loops.patterns))).batches.num_batches
    part = range_test.num_steps / (trainer.epochs * steps_per_epoch)
    return search.reached(range_test=part, epochs_per_trial=trainer.epochs)


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


def target_of(cases: Sequence[Mapping[str, Any]]) -> float:
    """Return the loss that is within 2 % of the scale of the lowest one of the cases of one task."""
    start = max(case["init_val_loss"] for case in cases)
    means = []
    for case in cases:
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


def loops_of(tasks: ModuleType, name: str, optimizers: Sequence[str]) -> tuple[Loops, int]:
    task = tasks.load(name)

    def build() -> Any:
        model = task.build()
        model.compile("sgd", task.loss)
        return model

    loops = Loops(
        build,
        (task.x, task.y),
        optimizers={label: tasks.OPTIMIZERS[label]() for label in optimizers},
        batch_size=task.batch_size,
        validation_data=(task.x_val, task.y_val),
    )
    return loops, task.epochs


def measure(loops: Loops, epochs: int, target: float, seeds: int, trials: int) -> Samples:
    warm_up(loops)
    samples: Samples = {way: [] for way in WAYS}
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


def measure_task(
    tasks: ModuleType, oracle: Mapping[str, Any], name: str, groups: Sequence[Sequence[str]], kept: Kept, options: Any
) -> Samples:
    """Measure each group of a task's optimizers that is not kept yet; return the samples of all of them by way."""
    samples: Samples = {way: [] for way in WAYS}
    for group in groups:
        key = f"{name}: {', '.join(group)}: {options.seeds} seeds of {options.trials} trials"
        if key not in kept.found:
            loops, epochs = loops_of(tasks, name, group)
            target = target_of([oracle[name][label] for label in group])
            kept.add(key, measure(loops, epochs, target, options.seeds, options.trials))
        for way, found in kept.found[key].items():
            samples[way] += found
    return samples


class Kept:
    """What has been measured, by group of searches; in a file, where one is given."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.found: dict[str, Samples] = {}
        if file and file.exists():
            for key, ways in json.loads(file.read_text(encoding="utf-8")).items():
                self.found[key] = {way: [Reached(**one) for one in taken] for way, taken in ways.items()}

    def add(self, key: str, samples: Samples) -> None:
        self.found[key] = samples
        if self.file:
            write_whole(self.file, json.dumps(self.found, default=asdict, indent=1).encode())


def print_task(name: str, samples: Samples) -> float:
    """Print the medians of a task; return how many trials ours took for one of the best of the others."""
    medians = {
        way: [statistics.median(getattr(one, each) for one in found) for each in MEASURES]
        for way, found in samples.items()
    }
    print(f"\n{name}: medians of {len(samples[OURS])} searches")
    print(f"{'way':28s} {'trials':>8s} {'epochs':>8s} {'seconds':>8s} {'reached':>8s}")
    for way, found in samples.items():
        trials, epochs, seconds = medians[way]
        share = statistics.fmean(one.is_reached for one in found)
        print(f"{way:28s} {trials:8.2f} {epochs:8.1f} {seconds:8.2f} {share:8.0%}")
    ratios = [medians[OURS][i] / min(taken[i] for way, taken in medians.items() if way != OURS) for i in range(3)]
    print(f"{'ours to the best of the others':28s} {ratios[0]:6.2f} {ratios[1]:8.2f} {ratios[2]:8.2f}")
    part = statistics.median(one.range_test for one in samples[OURS])
    print(f"range tests are {part:.2f} of ours' trials", flush=True)
    return ratios[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("oracle", type=Path)
    parser.add_argument("--together", action="store_true", help="search all of a task's optimizers at once")
    parser.add_argument("--tasks", nargs="+", help="the oracle's; default: all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=30, help="that a search may take")
    parser.add_argument("--json", type=Path, help="where results are kept")
    options = parser.parse_args()
    tasks = load_tasks(options.oracle)
    oracle = json.loads((options.oracle / "oracle.json").read_text(encoding="utf-8"))
    labels = list(tasks.OPTIMIZERS)
    groups = [labels] if options.together else [[label] for label in labels]
    kept = Kept(options.json)
    ratios = [
        print_task(name, measure_task(tasks, oracle, name, groups, kept, options))
        for name in options.tasks or tasks.NAMES
    ]
    print(f"\ntrials, ours to the best of the others, on the median task: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
