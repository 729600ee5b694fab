"""How soon does a search reach what the oracle knows to be possible: ours, range test included, against plain searches.

    python benchmarks/study_quality.py ORACLE_FOLDER [--look-up] [--together] [--tasks NAME ...] [--json FILE]

ORACLE_FOLDER holds `tasks.py` (`NAMES`, `OPTIMIZERS`, `load(name)`) and `oracle.json`: for each task and optimizer the
validation loss before training and the best one of a full training at each of a dense grid of fixed rates. With
`--look-up` a trial's loss is read from that grid instead of being trained for: the counts of steps take minutes then,
not hours, and seconds say nothing.

Each of a task's optimizers is searched for its fixed rate; a task's figures are means over optimizers and seeds, which
is what searches cost in the long run, and medians, which leave out how unlucky a search can be. With `--together` one
search chooses among all of the task's optimizers as well. All ways train with the same trainer, on loops traced before,
from the same initial weights for one seed, so that they differ by what they propose alone. A way has reached a target
at the first epoch whose validation loss lies within 1, 2 or 5 % of the scale above the oracle's lowest, or with
`--look-up` at the end of that trial; the scale is the loss before training minus the lowest. What counts is trained
steps, those of range tests included, in units of a full training. All may take as many. A target that was missed counts
as one training more than were allowed.

ours: our study with the sampler "arms"; the range test of an optimizer is run when the study turns to it.
ours, halved: the same with prunes = "hyperband".
ours, bounds as walls: our study with "tpe", inside the bounds of range tests, which are all run first.
ours, bounds x 10, / 10: "arms" with all bounds wrong by a decade.
remembered box: our study with "tpe", without range tests, between the least and the greatest best rate of each
optimizer on the other tasks.
TPE: Optuna's sampler by its defaults; a trial that diverged is told as a penalty. With its Hyperband pruner or without.
KerasTuner: its own BayesianOptimization, told the same penalty, and its own Hyperband, in 1e-5..1e-1.

The last table compares ours and the remembered box with the best of the others: TPE and KerasTuner.

`--picture` draws the share of searches that reach a target within so many times the steps of the best way of the same
task and seed (performance profiles, Dolan and More 2002), up to a factor of 4.

With `--json` the searches of one way with one task's optimizers are kept as soon as they are done, and the same command
goes on where it was left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from arguments import checked_names, count, file_to_write, folder_with
from oracle_tasks import NEAR, LookedUpTask, Oracle, Task, TrainedTask
from performance_profile import draw_profiles
from searches import NEED_EPOCHS, OTHERS, WAYS, Reached, Search
from tables import Table, show

from studies import StopTraining
from studies.storage.whole_file import write_text

Samples = dict[str, list[Reached]]  # by way


def measure_task(oracle: Oracle, name: str, kept: Kept, options: argparse.Namespace) -> Samples:
    """Measure what is not kept yet of each way with each group of a task's optimizers; return all by way."""
    labels = options.optimizers
    make = LookedUpTask if options.look_up else TrainedTask
    samples: Samples = {way: [] for way in options.ways}
    for group in [labels] if options.together else [[label] for label in labels]:
        task, targets = None, oracle.targets(name, group)
        for way, reached in samples.items():
            for seed in range(options.seeds):
                key = (
                    f"{make.__name__} {name}: {', '.join(group)}: {way}: {options.trials} trainings in all: seed {seed}"
                )
                if key not in kept.reached:
                    task = task or make(oracle, name, group)
                    kept.add(key, run(way, task, targets, seed, options.trials))
                reached.append(kept.reached[key])
    return samples


def run(way: str, task: Task, targets: Sequence[float], seed: int, max_trainings: int) -> Reached:
    """Run one search."""
    search = Search(targets, task.epochs * task.steps_per_epoch * task.batch_size, max_trainings)
    with contextlib.suppress(StopTraining):
        WAYS[way](task, search, seed)
    return search.reached()


class Kept:
    """What has been measured, by task, optimizers, way and seed; in a file, where one is given."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.reached: dict[str, Reached] = {}
        if file and file.exists():
            for key, taken in json.loads(file.read_text(encoding="utf-8")).items():
                both = {name: tuple(taken[name]) for name in ("trainings", "is_reached")}
                self.reached[key] = Reached(**{**taken, **both})

    def add(self, key: str, reached: Reached) -> None:
        self.reached[key] = reached
        if self.file:
            write_text(self.file, json.dumps(self.reached, default=asdict, indent=1))


def show_task(name: str, samples: Samples) -> None:
    """Show what a task took."""
    heads = ("", *(head for near in NEAR for head in (f"within {near:.0%}", "median", "missed")), "range tests")
    rows = []
    for way, reached in samples.items():
        range_tests = statistics.fmean(one.range_test for one in reached)
        rows.append((way, *(cell for target in _row(reached) for cell in target), range_tests))
    title = (
        f"{name}: full trainings to each target, {len(next(iter(samples.values())))} searches each, means and medians"
    )
    show(Table(title, heads, tuple(rows)))


def _row(reached: Sequence[Reached]) -> list[tuple[float, float, int]]:
    """Return the mean, the median and the number of misses for each target."""
    return [
        (
            statistics.fmean(one.trainings[at] for one in reached),
            statistics.median(one.trainings[at] for one in reached),
            sum(not one.is_reached[at] for one in reached),
        )
        for at in range(len(NEAR))
    ]


def show_all(samples: Mapping[str, Samples]) -> None:
    """Show the trainings of each of our ways to those of the best of the others, on the median task and the worst."""
    ways = next(iter(samples.values()))
    others = [way for way in ways if way in OTHERS]
    rows = []
    for way in (way for way in ways if others and way not in OTHERS):
        for at, near in enumerate(NEAR):
            means, medians = (
                [
                    _row(of[way])[at][what] / min(_row(of[other])[at][what] for other in others)
                    for of in samples.values()
                ]
                for what in (0, 1)
            )
            of_both = (pick(ratios) for ratios in (means, medians) for pick in (statistics.median, max))
            rows.append((f"{way}, within {near:.0%}", *of_both))
    heads = ("", "means, median task", "worst task", "medians, median task", "worst task")
    if rows:
        show(Table("Trainings to those of the best of the others, range tests included", heads, tuple(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("oracle", type=folder_with("tasks.py", "oracle.json"))
    parser.add_argument("--together", action="store_true", help="search all of a task's optimizers at once")
    parser.add_argument("--look-up", action="store_true", help="read a trial's loss from the oracle; train nothing")
    parser.add_argument("--tasks", nargs="+", help="the oracle's; default: all")
    parser.add_argument("--optimizers", nargs="+", help="some of the oracle's; default: all")
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="default: all that the trials allow")
    parser.add_argument("--seeds", type=count, default=10)
    parser.add_argument("--trials", type=count, default=20, help="full trainings that a search may take")
    parser.add_argument("--json", type=file_to_write, help="where results are kept")
    parser.add_argument("--picture", type=file_to_write, help="where the performance profile is drawn")
    options = parser.parse_args()
    options.ways = options.ways or [way for way in WAYS if not (options.look_up and way in NEED_EPOCHS)]
    oracle, kept = Oracle(options.oracle), Kept(options.json)
    options.optimizers = checked_names(parser, "--optimizers", options.optimizers, oracle.tasks.OPTIMIZERS)
    samples = {}
    for name in checked_names(
        parser, "--tasks", options.tasks, [name for name in oracle.tasks.NAMES if name in oracle.truth]
    ):
        samples[name] = measure_task(oracle, name, kept, options)
        show_task(name, samples[name])
    show_all(samples)
    if options.picture:
        draw_profiles(list(samples.values()), options.picture)


if __name__ == "__main__":
    main()
