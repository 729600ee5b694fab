"""Record range tests and short trainings of the cases that bounds are scored on, so that rules can be scored anew.

    python benchmarks/recorded.py FOLDER [--tasks NAME ..] [--without-confirmation] [--seed N]

FOLDER is as `bounds_quality.py` takes it; what is recorded goes to `recorded/`, into a file of the folder's name.

A file of `recorded/` has, of each task: the rates of its ramps; of each repeat, what the batches cost untrained; and of
each optimizer what full trainings reached (the truth), the losses of whole ramps, nothing cut off, and short trainings.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from arguments import folder_with, known
from numpy.typing import NDArray
from truths import Truth

from lrrt import Bounds, Loops, Ramp, RangeCurve, find_bounds
from lrrt.confirmation import NUM_RATES, confirm
from lrrt.factors import averaging_steps_of, kind_of
from lrrt.plain import from_plain, to_plain
from lrrt.recording import climbed, parts_of, repeated
from lrrt.short_trainings import Confirmation
from lrrt.untrained import STILL

REPEATS = 3
NUM_COLD_STEPS = 100
HERE = Path(__file__).parent / "recorded"
# The edge of a ramp of 100 steps, over that of 100 cold steps at each rate: medians over the first seven tasks.
ABOVE_COLD = {"sgd": 2.0, "heavy momentum": 3.6, "adam": 1.9}

Case = tuple[str, str]  # task, optimizer


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of one case.

    `ramps[i]` and `untrained[i]` are the losses of repeat number i at `lrs`; a cold case has one, whose losses were
    reached by cold steps at each rate. `confirmed` is the bounds that short trainings were run for, as they were then.
    """

    kind: str
    full_steps: int
    averaging_steps: float | None
    truth: Truth
    lrs: NDArray[np.float64]
    ramps: tuple[NDArray[np.float64], ...]
    untrained: tuple[NDArray[np.float64], ...]
    confirmed: Bounds | None
    confirmation: Confirmation | None

    @property
    def is_cold(self) -> bool:
        return len(self.ramps) == 1

    def bounds(self, curves: Sequence[RangeCurve]) -> Bounds:
        """Return what is said of these curves."""
        steps = self.full_steps
        if self.is_cold:  # 5 rates a decade count as steps of a ramp, so that the length is told in those
            steps = round(steps * 5 * 8 / (Ramp().num_steps - 1))
        return find_bounds(curves, optimizer=self.kind, training_steps=steps, averaging_steps=self.averaging_steps)


def replayed(case: Recorded, known: set[int]) -> tuple[RangeCurve, ...]:
    """Return the curves that a range test records: no more of a ramp and no more repeats than it needs.

    Args:
        case: with whole ramps.
        known: the repeats whose untrained losses another optimizer has paid for; this one's are added.
    """
    if case.is_cold:
        losses = tuple(case.ramps[0].tolist())
        return (RangeCurve(tuple(case.lrs.tolist()), losses, num_steps=NUM_COLD_STEPS * len(losses)),)

    def record(lrs: NDArray[np.float64], repeat: int) -> RangeCurve:
        losses = case.ramps[repeat][len(case.lrs) - len(lrs) :]
        parts = np.split(losses, np.cumsum(parts_of(len(lrs)))[:-1])
        return climbed(lrs, ((part, part) for part in parts if len(part)), seed=repeat)

    def quieter(curve: RangeCurve, repeat: int) -> RangeCurve:
        begin = int(np.searchsorted(case.lrs, curve.lrs[0]))
        untrained = tuple(case.untrained[repeat][begin : begin + len(curve.lrs)].tolist())
        extra = 0 if repeat in known else len(case.lrs)
        known.add(repeat)
        return replace(curve, untrained=untrained, num_steps=curve.num_steps + extra)

    return tuple(repeated(record, case.lrs, REPEATS, quieter if case.untrained else None))


def read(path: Path) -> dict[Case, Recorded]:
    """Read what `measure` or `cut_deepobs` made."""
    cases = {}
    for task, data in json.loads(path.read_text()).items():
        lrs, untrained = np.array(data["lrs"], float), tuple(map(_array, data["untrained"]))
        for label, one in data["cases"].items():
            truth = Truth(_array(one["truth"]["rates"]), _array(one["truth"]["values"]), one["truth"]["start"])
            confirmed, seen = one.get("confirmed"), one.get("confirmation")
            cases[task, label] = Recorded(
                one["kind"],
                data["full_steps"],
                data["averaging_steps"],
                truth,
                _array(one["lrs"]) if "lrs" in one else lrs,
                tuple(map(_array, one["ramps"])),
                untrained,
                None if confirmed is None else from_plain(Bounds, confirmed),
                None if seen is None else from_plain(Confirmation, seen),
            )
    return cases


def main() -> None:
    """Record, and write after each task."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "folder", type=folder_with("tasks.py"), help="where oracle.json and tasks.py are, or baselines.json"
    )
    parser.add_argument("--tasks", nargs="+", help="some of them; what is recorded of the others stays")
    parser.add_argument("--without-confirmation", action="store_true", help="no short trainings")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder, tasks = options.folder, load_tasks(options.folder / "tasks.py")
    path = HERE / f"{folder.resolve().name}.json"
    if (folder / "baselines.json").exists():
        baselines = json.loads((folder / "baselines.json").read_text())
        write(path, {name: cold(cases) for name, cases in baselines.items()})
        problems = {f"{name} by range tests": (name, baselines[name]) for name in tasks.TASKS}
    elif not (folder / "oracle.json").exists():
        parser.error(f"argument folder: must have oracle.json or baselines.json, got {str(folder)!r}.")
    else:
        oracle = json.loads((folder / "oracle.json").read_text())
        problems = {name: (name, oracle[name]) for name in tasks.NAMES if name in oracle}
    for title in known(parser, "--tasks", options.tasks, problems):
        problem = Problem(tasks, *problems[title])
        write(path, {title: record(problem, options.seed, confirms=not options.without_confirmation)})
        print(f"recorded {title}", file=sys.stderr, flush=True)


def write(path: Path, tasks: Mapping[str, Any]) -> None:
    """Add tasks to a file, in place of what it holds of them."""
    recorded = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(as_text(recorded | dict(tasks)))


class Problem:
    """A task that can be trained, with what is known of its full trainings by optimizer."""

    def __init__(self, tasks: ModuleType, name: str, cases: Mapping[str, Any]) -> None:
        first = next(iter(cases.values()))
        if hasattr(tasks, "TASKS") and "runs" in first:
            build, load_data, batch_size = tasks.TASKS[name]
            data, validation = load_data(), None
            self.full_steps = first["epochs"] * first["steps_per_epoch"]
            self.truths = {label: Truth.from_deepobs(case) for label, case in cases.items()}
        else:
            task = tasks.load(name)
            build, data, validation = partial(compiled, task), (task.x, task.y), (task.x_val, task.y_val)
            batch_size, self.full_steps = task.batch_size, task.epochs * math.ceil(len(task.x) / task.batch_size)
            self.truths = {label: Truth.from_json(case) for label, case in cases.items()}
        patterns = {label: tasks.OPTIMIZERS[label]() for label in cases}
        self.loops = Loops(build, data, optimizers=patterns, batch_size=batch_size, validation_data=validation)


def record(problem: Problem, seed: int, *, confirms: bool) -> dict[str, Any]:
    """Run whole ramps of each optimizer, and a confirmation that costs no more than one full training."""
    loops, lrs = problem.loops, Ramp().rates()
    first = next(iter(problem.truths))
    data: dict[str, Any] = {
        "full_steps": problem.full_steps,
        "averaging_steps": averaging_steps_of(loops.model),
        "lrs": rounded(lrs),
        "untrained": [rounded(train(loops, first, np.full(len(lrs), STILL), seed + i)) for i in range(REPEATS)],
        "cases": {},
    }
    known: set[int] = set()
    for label, truth in problem.truths.items():
        kind, ramps = kind_of(loops.patterns[label]), [train(loops, label, lrs, seed + i) for i in range(REPEATS)]
        one = {"kind": kind, "truth": truth_as_json(truth), "ramps": [rounded(losses) for losses in ramps]}
        if confirms and loops.validation is not None:
            untrained = tuple(np.array(losses) for losses in data["untrained"])
            case = Recorded(
                kind, problem.full_steps, data["averaging_steps"], truth, lrs, tuple(ramps), untrained, None, None
            )
            bounds = case.bounds(replayed(case, known))
            _, seen = confirm(loops, label, bounds, num_steps=problem.full_steps // NUM_RATES, seed=seed)
            one |= {"confirmed": to_plain(bounds), "confirmation": None if seen is None else to_plain(seen)}
        data["cases"][label] = one
    return data


def train(loops: Loops, label: str, lrs: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return the losses of the range test with this seed, not cut where we say that it diverged."""
    loop = loops.get(label)
    loop.restart(loops.initial_weights(seed))
    return np.asarray(loop.train(lrs, np.random.default_rng(seed)).losses, float)


def cold(cases: Mapping[str, Any]) -> dict[str, Any]:
    """Read cold steps of DeepOBS as range curves, from rates that are lifted to where a ramp would show the same."""
    first = next(iter(cases.values()))
    data: dict[str, Any] = {
        "full_steps": first["epochs"] * first["steps_per_epoch"],
        "averaging_steps": None,
        "lrs": [],
        "untrained": [],
        "cases": {},
    }
    for label, case in cases.items():
        kind = "heavy momentum" if label == "momentum" else label
        data["cases"][label] = {
            "kind": kind,
            "truth": truth_as_json(Truth.from_deepobs(case)),
            "lrs": rounded([run["rate"] * ABOVE_COLD[kind] for run in case["runs"]]),
            "ramps": [rounded([cold_loss(run["first_losses"]) for run in case["runs"]])],
        }
    return data


def cold_loss(losses: Sequence[float | None]) -> float:
    """Return the mean of the last fifth of the first steps; nan if one of them is not finite."""
    first = [math.nan if loss is None else loss for loss in losses[:NUM_COLD_STEPS]]
    return math.nan if len(first) < NUM_COLD_STEPS else statistics.fmean(first[-NUM_COLD_STEPS // 5 :]) + 0 * sum(first)


def load_tasks(path: Path) -> ModuleType:
    """Import a file by its path.

    Raises:
        FileNotFoundError: if there is none.
    """
    spec = importlib.util.spec_from_file_location("oracle_tasks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def compiled(task: Any) -> Any:
    """Build a task's model with its loss."""
    model = task.build()
    model.compile("sgd", task.loss)
    return model


def truth_as_json(truth: Truth) -> dict[str, Any]:
    return {"rates": rounded(truth.rates), "values": rounded(truth.values), "start": rounded([truth.start])[0]}


def rounded(values: Sequence[float] | NDArray[np.float64]) -> list[float | None]:
    """Return the values with seven digits, None in place of those that are not finite."""
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in np.asarray(values, float)]


def _array(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array(values, float)  # None becomes nan


def as_text(recorded: Mapping[str, Any]) -> str:
    """Return what was recorded as JSON, with one line for each case."""
    tasks = []
    for name, data in recorded.items():
        cases = ",\n".join(f"  {json.dumps(label)}: {json.dumps(case)}" for label, case in data["cases"].items())
        others = json.dumps({key: value for key, value in data.items() if key != "cases"})
        tasks.append(f'{json.dumps(name)}: {others[:-1]}, "cases": {{\n{cases}\n }}}}')
    return "{\n" + ",\n".join(tasks) + "\n}\n"


if __name__ == "__main__":
    main()
