"""How soon does a search reach what the oracle knows to be possible: ours, range test included, against plain searches.

    python benchmarks/study_quality.py ORACLE_FOLDER [--look-up] [--together] [--tasks NAME ...] [--json FILE]

ORACLE_FOLDER holds `tasks.py` (`NAMES`, `OPTIMIZERS`, `load(name)`) and `oracle.json`: for each task and optimizer the
validation loss before training and the best one of a full training at each of a dense grid of fixed rates. With
`--look-up` a trial's loss is read from that grid instead of being trained for: the counts of trials take minutes then,
not hours, and seconds say nothing.

Each of a task's optimizers is searched for its fixed rate; a task's figures are means over optimizers and seeds, which
is what searches cost in the long run, and medians, which leave out how unlucky a search can be. With `--together` one
search chooses among all of the task's optimizers as well. All ways train with the same trainer, on loops traced before,
from the same initial weights for one seed, so that they differ by what they propose alone. A way has reached its end at
the first trial whose best validation loss lies within 2 % of the scale above the oracle's lowest; the scale is the loss
before training minus the lowest. What has not reached it counts as one trial more than were allowed.

ours: our study by its defaults inside the bounds of range tests (the default call), whose suggestions come first. The
range tests are in its count: in trials as their steps over the steps of a full trial, in epochs likewise, in seconds as
they took.
TPE, 1e-6..10 and TPE, 1e-5..1e-1: Optuna's sampler by its defaults; a trial that diverged is told as a penalty.
KerasTuner, 1e-5..1e-1: its own BayesianOptimization, told the same penalty.

With `--json` the searches of one way with one task's optimizers are kept as soon as they are done, and the same command
goes on where it was left.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oracle_tasks import LookedUpTask, Oracle, Task, TrainedTask
from tables import Table, show

from studies import OptimizerRange, OptunaStudy, SearchSpace, StopTraining, Trained, Watcher
from studies.engines.observation import cost_for_engines
from studies.storage.whole_file import write_text

OURS = "ours"
WIDE, USUAL = (1e-6, 10.0), (1e-5, 1e-1)
MEASURES = ("trials", "epochs", "seconds", "is_reached")


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


class Search(Watcher):
    """Counts the trials of one search and ends it when it has come near enough."""

    def __init__(self, target: float, max_trials: int) -> None:
        self.target, self.max_trials = target, max_trials
        self.began, self.results, self.has_reached = time.monotonic(), [], False

    def on_trial_end(self, trained: Trained) -> None:
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


def search_ours(task: Task, search: Search, seed: int) -> Reached:
    range_test = task.range_test(seed)
    space = SearchSpace.from_result(range_test, fallback_range=USUAL, batch_sizes=(task.batch_size,))
    study, trainer = OptunaStudy(space, seed=seed), task.trainer(seed)
    run_to_target(lambda: study.run(trainer, num_trials=search.max_trials, watcher=search))
    part = range_test.num_steps / (task.epochs * task.steps_per_epoch)
    return search.reached(range_test=part, epochs_per_trial=task.epochs)


def search_range(low: float, high: float) -> Callable[[Task, Search, int], Reached]:
    """Make the search that a user of Optuna alone would write."""

    def run(task: Task, search: Search, seed: int) -> Reached:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        judge = objective(plain_space(task, low, high), task, search, seed)
        run_to_target(lambda: study.optimize(judge, n_trials=search.max_trials))
        return search.reached()

    return run


def search_keras_tuner(task: Task, search: Search, seed: int) -> Reached:
    """Run KerasTuner's own oracle, untouched, on our trainer."""
    import keras_tuner

    space = plain_space(task, *USUAL)
    judge = objective(space, task, search, seed)

    class Tuner(keras_tuner.engine.base_tuner.BaseTuner):
        def run_trial(self, trial: Any) -> float:
            return judge(trial.hyperparameters)

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


def objective(space: SearchSpace, task: Task, search: Search, seed: int) -> Callable[[Any], float]:
    """Make what trains the trial that an Optuna trial or a KerasTuner `hp` asks for, and returns what to tell it."""
    trainer = task.trainer(seed)

    def judge(asked: Any) -> float:
        trained = trainer.train(space.suggest(asked))
        score = cost_for_engines(trained.result, search.results)
        search.on_trial_end(trained)
        return score

    return judge


WAYS: Mapping[str, Callable[[Task, Search, int], Reached]] = {
    OURS: search_ours,
    "TPE, 1e-6..10": search_range(*WIDE),
    "TPE, 1e-5..1e-1": search_range(*USUAL),
    "KerasTuner, 1e-5..1e-1": search_keras_tuner,
}


def run_to_target(run: Callable[[], Any]) -> None:
    try:
        run()
    except StopTraining:
        return


def plain_space(task: Task, low: float, high: float) -> SearchSpace:
    ranges = tuple(OptimizerRange(label, low, high) for label in task.optimizers)
    return SearchSpace(ranges, batch_sizes=(task.batch_size,))


def measure_task(oracle: Oracle, name: str, kept: Kept, options: argparse.Namespace) -> Samples:
    """Measure what is not kept yet of each way with each group of a task's optimizers; return all by way."""
    labels = list(oracle.tasks.OPTIMIZERS)
    make = LookedUpTask if options.look_up else TrainedTask
    samples: Samples = {way: [] for way in (OURS, *options.others)}
    for group in [labels] if options.together else [[label] for label in labels]:
        task, target = None, oracle.target(name, group)
        for way, found in samples.items():
            key = f"{make.__name__} {name}: {', '.join(group)}: {way}: {options.seeds} seeds of {options.trials} trials"
            if key not in kept.found:
                task = task or make(oracle, name, group)
                kept.add(key, [WAYS[way](task, Search(target, options.trials), seed) for seed in range(options.seeds)])
            found += kept.found[key]
    return samples


class Kept:
    """What has been measured, by task, optimizers and way; in a file, where one is given."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.found: dict[str, list[Reached]] = {}
        if file and file.exists():
            for key, taken in json.loads(file.read_text(encoding="utf-8")).items():
                self.found[key] = [Reached(**one) for one in taken]

    def add(self, key: str, found: list[Reached]) -> None:
        self.found[key] = found
        if self.file:
            write_text(self.file, json.dumps(self.found, default=asdict, indent=1))


def show_task(name: str, samples: Samples) -> tuple[float, float]:
    """Show what a task took; return the trials of ours to those of the best of the others, by means and by medians."""
    rows = {
        way: (*_means(taken), statistics.median(one.trials for one in taken), spread_of(taken))
        for way, taken in samples.items()
    }
    heads = ("", "trials", "epochs", "s", "reached", "median of trials", "half of them need")
    title = f"{name}: {len(samples[OURS])} searches each, until within 2 % of the best"
    show(Table(title, heads, tuple((way, *row) for way, row in rows.items())))
    trials, median = (rows[OURS][i] / min(row[i] for way, row in rows.items() if way != OURS) for i in (0, 4))
    part = statistics.fmean(one.range_test for one in samples[OURS])
    print(f"range tests are {part:.2f} of ours' trials", flush=True)
    return trials, median


def spread_of(taken: list[Reached]) -> str:
    """Return between how many trials the middle half of the searches needed."""
    low, _, high = statistics.quantiles((one.trials for one in taken), n=4)
    return f"{low:.1f} to {high:.1f}"


def _means(found: list[Reached]) -> list[float]:
    return [statistics.fmean(getattr(one, each) for one in found) for each in MEASURES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("oracle", type=Path)
    parser.add_argument("--together", action="store_true", help="search all of a task's optimizers at once")
    parser.add_argument("--look-up", action="store_true", help="read a trial's loss from the oracle; train nothing")
    parser.add_argument("--tasks", nargs="+", help="the oracle's; default: all")
    others = [way for way in WAYS if way != OURS]
    parser.add_argument("--others", nargs="+", default=others, choices=others, help="that ours is compared with")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=20, help="that a search may take")
    parser.add_argument("--json", type=Path, help="where results are kept")
    options = parser.parse_args()
    oracle, kept = Oracle(options.oracle), Kept(options.json)
    names = options.tasks or oracle.tasks.NAMES
    ratios = {name: show_task(name, measure_task(oracle, name, kept, options)) for name in names}
    middle = [statistics.median(column) for column in zip(*ratios.values(), strict=True)]
    rows = (*((name, *both) for name, both in ratios.items()), ("the median task", *middle))
    heads = ("", "of means", "of medians")
    show(Table("Trials of ours to those of the best other, range tests included", heads, rows))


if __name__ == "__main__":
    main()
