"""Score bounds, ours and the field's, read from the same range curves, against full trainings.

    python benchmarks/bounds_quality.py FOLDER [FOLDER ..] [--json FILE] [--seed N]

A FOLDER holds `oracle.json` and `tasks.py` (`NAMES`, `OPTIMIZERS`, `load(name)`): for each task and optimizer the
validation loss before training and the best one of a full training at each of a grid of constant rates. Or it holds
`baselines.json`, cut from DeepOBS: the losses of the first 100 steps at each rate, cold, are read as a range curve; and
if `tasks.py` has some of its problems (`TASKS`, `OPTIMIZERS`), range tests are run on those as well. Each case's range
test runs on the real Keras model by default settings, for a training as long as the full one. What the confirmation
trains is no more than one full training of the case.

b(lr) is the best validation loss of a full training at that rate, no higher than the loss before training, averaged
over the seeds; the scale of a case is the loss before training minus the lowest b. Over the cases, where one without an
answer is a miss with a regret of 1:

covers: the share of cases with a rate inside [low, high] whose b is within 5, 2, 1 % of the scale of the lowest b.
contains: the share of cases with the best rate inside.
width: the median of log10(high / low), in decades.
regret: the mean of (b(suggested) - lowest b) / scale, with b interpolated in the log of the rate, 1 at the most.
best of n: the mean over the cases of the expected regret of the best of n rates, drawn log-uniformly inside; below
each table, that of the best of 4 on the median task.
steps: the mean number of training steps that the rule takes.

The field's tools train once; here they get three whole curves, and the median of what they say to each. The remembered
box reaches from the least to the greatest best rate of the same optimizer in all other tasks.

Leaving one task out: the constants of our rules are fitted anew to the other tasks, then scored on the one left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import field_rules
import numpy as np
from numpy.typing import NDArray
from tables import Cell, Table, show
from truths import DRAWS, HEADS, Answer, Score, Truth, row_of

from lrrt import Bounds, Loops, Ramp, RangeCurve, find_bounds, run_range_test
from lrrt.confirmation import NUM_RATES, confirm
from lrrt.factors import USUAL_LENGTH, WIDTH, lags
from lrrt.reading import Shape, read_curve
from lrrt.sharpening import sharpen
from lrrt.short_trainings import Confirmation

REPEATS = 3
FIELD_STEPS = 300  # three whole ramps
STEPS_A_DECADE = 99 / 8  # of the default ramp
OURS = "lrrt"
CONFIRMED = "lrrt, confirmed"
REMEMBERED = "remembered box of the other tasks"
FIXED = "fixed 1e-5 to 1e-1"
COMPARED = (OURS, f"{OURS}, one task left out", CONFIRMED, REMEMBERED, FIXED)
NUM_COLD_STEPS = 100
# The edge of a ramp of 100 steps, over that of 100 cold steps at each rate: medians over the first seven tasks.
ABOVE_COLD = {"sgd": 2.0, "heavy momentum": 3.6, "adam": 1.9}

# What is tried when constants are fitted anew.
SHARPENING = tuple(itertools.product((0.02, 0.03, 0.05, 0.08, 0.12), (2, 2.5, 3), (0, 0.05, 0.1, 0.2, 0.3)))
SHARP_WIDTH = 1.0
SHRINKAGE = 1.0  # cases that an optimizer's own factor must outweigh

Case = tuple[str, str]  # task, optimizer
Constants = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on one case.

    `edge` and `diverged` are what is read from the curves that the bounds are of, None for curves without a fall;
    `num_steps` what they took; `whole` three range curves with nothing cut off, none if the case has only cold probes;
    `confirmed` the bounds that the short trainings of `confirmation` sharpened.
    """

    kind: str
    full_steps: int
    edge: float | None
    diverged: float | None
    bounds: Bounds
    num_steps: int = 0
    whole: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...] = ()
    confirmed: Bounds | None = None
    confirmation: Confirmation | None = None


def main() -> None:
    """Measure all cases and print the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="where oracle.json and tasks.py are, or baselines.json")
    parser.add_argument("--json", type=Path, help="write our bounds to this file, {task: {optimizer: {low, ...}}}")
    parser.add_argument("--confirmed-json", type=Path, help="write our confirmed bounds to this file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    truths: dict[Case, Truth] = {}
    evidence: dict[Case, Evidence] = {}
    parts: dict[str, list[Case]] = {}
    deepobs: dict[Case, Answer] = {}
    for folder in options.folders:
        new, measured = read_deepobs(folder) if (folder / "baselines.json").exists() else measure(folder, options.seed)
        truths |= new
        evidence |= measured
        if (folder / "baselines.json").exists() and (folder / "tasks.py").exists():
            deepobs |= test_deepobs(load_tasks(folder / "tasks.py"), evidence, options.seed)
        parts[folder.resolve().name] = list(new)
    answers = {way: {case: rule(seen) for case, seen in evidence.items()} for way, rule in RULES.items()}
    answers[REMEMBERED] = {case: remembered(case, truths, evidence) for case in truths}
    for path, way in ((options.json, OURS), (options.confirmed_json, CONFIRMED)):
        if path is not None:
            path.write_text(json.dumps(as_json(answers[way]), indent=2))
    print(", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy")))
    answers |= leaving_one_out(evidence, truths)
    if len(parts) > 1:
        parts["all with range tests"] = [case for case, seen in evidence.items() if seen.whole]
    for name, cases in parts.items():
        print_part(name, cases, answers, truths)
    if deepobs:
        print_part("range tests on DeepOBS", list(deepobs), {OURS: deepobs}, truths)
    factors, exponent = fit_edges(evidence, truths)
    print(
        f"\nfitted to all: length^{exponent:.2f}, edge / { ({kind: round(1 / x, 1) for kind, x in factors.items()}) }"
    )


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


def measure(folder: Path, seed: int) -> tuple[dict[Case, Truth], dict[Case, Evidence]]:
    """Run the range tests and confirmations of each task that has a table."""
    oracle, tasks = json.loads((folder / "oracle.json").read_text()), load_tasks(folder / "tasks.py")
    truths: dict[Case, Truth] = {}
    evidence: dict[Case, Evidence] = {}
    for name in tasks.NAMES:
        truths |= {(name, label): Truth.from_json(data) for label, data in oracle.get(name, {}).items()}
        makers = {label: tasks.OPTIMIZERS[label] for label in oracle.get(name, {})}
        if makers:
            evidence |= dict(measure_task(name, tasks.load(name), makers, seed))
    return truths, evidence


def measure_task(
    name: str, task: Any, makers: Mapping[str, Callable[[], Any]], seed: int
) -> Iterator[tuple[Case, Evidence]]:
    """Run one task's range tests and confirmations."""
    loops = Loops(
        lambda: compiled(task),
        (task.x, task.y),
        optimizers={label: make() for label, make in makers.items()},
        batch_size=task.batch_size,
        validation_data=(task.x_val, task.y_val),
    )
    full_steps = task.epochs * math.ceil(len(task.x) / task.batch_size)
    result = run_range_test(loops, Ramp(), repeats=REPEATS, seed=seed, training_steps=full_steps)
    for label, bounds in result.bounds.items():
        seen = read(result.curves[label], result.cases[label].kind, full_steps, bounds)
        whole = tuple(whole_curve(loops, label, seed + repeat) for repeat in range(REPEATS))
        confirmed, confirmation = confirm(loops, label, bounds, num_steps=full_steps // NUM_RATES, seed=seed)
        yield (name, label), replace(seen, whole=whole, confirmed=confirmed, confirmation=confirmation)
    print(f"measured {name}", file=sys.stderr, flush=True)


def compiled(task: Any) -> Any:
    """Build a task's model with its loss."""
    model = task.build()
    model.compile("sgd", task.loss)
    return model


def whole_curve(loops: Loops, label: str, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates and losses of the range test with this seed, not cut where we say that it diverged."""
    loop, rates = loops.get(label), Ramp().rates()
    loop.restart(loops.initial_weights(seed))
    return rates, np.asarray(loop.train(rates, np.random.default_rng(seed)).losses, float)


def read_deepobs(folder: Path) -> tuple[dict[Case, Truth], dict[Case, Evidence]]:
    """Read the cold probes as range curves, from rates that are lifted to where a ramp would show the same."""
    truths: dict[Case, Truth] = {}
    evidence: dict[Case, Evidence] = {}
    for task, cases in json.loads((folder / "baselines.json").read_text()).items():
        for label, data in cases.items():
            kind = "heavy momentum" if label == "momentum" else label
            lrs = [run["rate"] * ABOVE_COLD[kind] for run in data["runs"]]
            losses = [cold_loss(run["first_losses"]) for run in data["runs"]]
            curve = RangeCurve(tuple(lrs), tuple(losses), num_steps=NUM_COLD_STEPS * len(lrs))
            full_steps = data["epochs"] * data["steps_per_epoch"]
            truths[task, label] = Truth.from_deepobs(data)
            # find_bounds counts 5 rates a decade as steps of a ramp, so that the length is told in those.
            as_steps = round(full_steps * 5 / STEPS_A_DECADE)
            bounds = find_bounds([curve], optimizer=kind, training_steps=as_steps)
            evidence[task, label] = read([curve], kind, full_steps, bounds)
    return truths, evidence


def test_deepobs(tasks: ModuleType, evidence: Mapping[Case, Evidence], seed: int) -> dict[Case, Answer]:
    """Run the range tests of the problems that are tasks, for trainings as long as the published ones."""
    answers: dict[Case, Answer] = {}
    for name, (build_model, load_data, batch_size) in tasks.TASKS.items():
        patterns = {label: make() for label, make in tasks.OPTIMIZERS.items()}
        loops = Loops(build_model, load_data(), optimizers=patterns, batch_size=batch_size)
        steps = next(seen.full_steps for (task, _), seen in evidence.items() if task == name)
        result = run_range_test(loops, Ramp(), repeats=REPEATS, seed=seed, training_steps=steps)
        for label, bounds in result.bounds.items():
            taken = sum(max(curve.num_steps, len(curve.lrs)) for curve in result.curves[label])
            answers[name, label] = answer_of(bounds, taken)
        print(f"measured {name}", file=sys.stderr, flush=True)
    return answers


def cold_loss(losses: Sequence[float | None]) -> float:
    """Return the mean of the last fifth of the first steps; nan if one of them is not finite."""
    first = [math.nan if loss is None else loss for loss in losses[:NUM_COLD_STEPS]]
    return math.nan if len(first) < NUM_COLD_STEPS else statistics.fmean(first[-NUM_COLD_STEPS // 5 :]) + 0 * sum(first)


def read(curves: Sequence[RangeCurve], kind: str, full_steps: int, bounds: Bounds) -> Evidence:
    """Read the edge of the curves that bounds are of, as for the bounds."""
    falls = [reading for curve in curves if (reading := read_curve(curve)).shape is Shape.FALLS]
    is_seen = 2 * len(falls) > len(curves)
    return Evidence(
        kind,
        full_steps,
        median(reading.edge for reading in falls) if is_seen else None,
        median(reading.diverged for reading in falls) if is_seen else None,
        bounds,
        sum(max(curve.num_steps, len(curve.lrs)) for curve in curves),
    )


def answer_of(bounds: Bounds | None, num_steps: int) -> Answer:
    return Answer() if bounds is None else Answer(bounds.low, bounds.high, bounds.suggested, num_steps)


def confirmed_answer(seen: Evidence, bounds: Bounds | None) -> Answer:
    spent = 0 if seen.confirmation is None else seen.confirmation.num_steps
    return answer_of(bounds, seen.num_steps + spent)


def around(rule: Callable[..., float | None]) -> Callable[[Evidence], Answer]:
    """Make a rule that reads one rate into bounds: a decade below and above the median of what it reads."""

    def judge(seen: Evidence) -> Answer:
        rate = median(rule(*curve) for curve in seen.whole)
        return Answer() if rate is None else Answer(rate / 10, rate * 10, rate, FIELD_STEPS)

    return judge


def steepest_to_lowest(seen: Evidence) -> Answer:
    pairs = [pair for curve in seen.whole if (pair := field_rules.steepest_and_lowest(*curve)) is not None]
    steepest, below_lowest = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    if steepest is None or below_lowest is None:
        return Answer()
    return Answer(min(steepest, below_lowest), max(steepest, below_lowest), below_lowest, FIELD_STEPS)


def first_rule(seen: Evidence) -> Answer:
    pairs = [pair for curve in seen.whole if (pair := field_rules.first_rule(*curve)) is not None]
    lowest, diverged = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    if lowest is None or diverged is None:
        return Answer()
    return Answer(lowest / 30, diverged, lowest / 10, FIELD_STEPS)


def fixed(low: float | None, high: float | None, suggested: float | None = None) -> Callable[[Evidence], Answer]:
    """Make a rule that says the same of every case; if it suggests nothing, the middle of its bounds."""
    if suggested is None and low is not None and high is not None:
        suggested = math.sqrt(low * high)
    return lambda seen: Answer(low, high, suggested)


def remembered(case: Case, truths: Mapping[Case, Truth], evidence: Mapping[Case, Evidence]) -> Answer:
    """Return the least to the greatest best rate of the same optimizer in the other tasks, with their median."""
    others = [
        truths[other].best
        for other, seen in evidence.items()
        if other[0] != case[0] and seen.kind == evidence[case].kind
    ]
    return Answer(min(others), max(others), median(others)) if others else Answer()


def median(rates: Iterable[float | None]) -> float | None:
    """Return the median in log rate of what was read, None if nothing was."""
    logs = [math.log(rate) for rate in rates if rate is not None]
    return math.exp(statistics.median(logs)) if logs else None


RULES: dict[str, Callable[[Evidence], Answer]] = {
    OURS: lambda seen: answer_of(seen.bounds, seen.num_steps),
    CONFIRMED: lambda seen: confirmed_answer(seen, seen.confirmed),
    "first rule: lowest / 30 to diverged": first_rule,
    "fastai valley, +- a decade": around(field_rules.fastai_valley),
    "fastai slide, +- a decade": around(field_rules.fastai_slide),
    "fastai steep, +- a decade": around(field_rules.fastai_steep),
    "fastai minimum / 10, +- a decade": around(field_rules.fastai_minimum),
    "torch-lr-finder, +- a decade": around(field_rules.torch_lr_finder),
    "Lightning, +- a decade": around(field_rules.lightning),
    "fastai 2.0: steepest to lowest / 10": steepest_to_lowest,
    FIXED: fixed(1e-5, 1e-1),
    "fixed 1e-4 to 1e-2": fixed(1e-4, 1e-2),
    "Keras's default, 1e-3": fixed(None, None, 1e-3),
}


def as_json(answers: Mapping[Case, Answer]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return {task: {optimizer: {"low": .., "high": .., "suggested": ..}}}."""
    tasks: dict[str, dict[str, dict[str, float | None]]] = {}
    for (task, optimizer), answer in answers.items():
        tasks.setdefault(task, {})[optimizer] = asdict(answer)
    return tasks


def print_part(
    name: str,
    cases: Sequence[Case],
    answers: Mapping[str, Mapping[Case, Answer]],
    truths: Mapping[Case, Truth],
) -> None:
    """Print one row for each way that says anything of these cases."""
    rows: list[tuple[Cell, ...]] = [
        row_of(way, [truths[case].score(given[case]) for case in cases])
        for way, given in answers.items()
        if any(given[case].suggested is not None for case in cases)
    ]
    num_tasks = len({task for task, _ in cases})
    show(Table(f"{name}: {len(cases)} cases of {num_tasks} tasks", HEADS, tuple(rows)))
    compared = [way for way in COMPARED if any(answers.get(way, {}).get(case, Answer()).suggested for case in cases)]
    medians = {way: on_median_task(cases, answers[way], truths) for way in compared}
    print("best of 4, median task: " + ", ".join(f"{way} {median:.3f}" for way, median in medians.items()))


def on_median_task(cases: Sequence[Case], given: Mapping[Case, Answer], truths: Mapping[Case, Truth]) -> float:
    """Return the median over the tasks of the mean expected regret of the best of 4 draws."""
    tasks: dict[str, list[float]] = {}
    for case in cases:
        tasks.setdefault(case[0], []).append(truths[case].score(given[case]).drawn[DRAWS.index(4)])
    return statistics.median(statistics.fmean(regrets) for regrets in tasks.values())


def leaving_one_out(evidence: Mapping[Case, Evidence], truths: Mapping[Case, Truth]) -> dict[str, dict[Case, Answer]]:
    """Return what our rules say of each task with constants that were fitted to all others."""
    sharpened = {
        constants: {case: from_confirmation(seen, constants) for case, seen in evidence.items() if seen.confirmation}
        for constants in SHARPENING
    }
    scores = {
        constants: {case: truths[case].score(answer) for case, answer in answers.items()}
        for constants, answers in sharpened.items()
    }
    from_edges: dict[Case, Answer] = {}
    confirmed: dict[Case, Answer] = {}
    for task in dict.fromkeys(task for task, _ in truths):
        factors, exponent = fit_edges({case: seen for case, seen in evidence.items() if case[0] != task}, truths)
        others = [case for case, seen in evidence.items() if case[0] != task and seen.confirmation]
        constants = fit(scores, others, SHARP_WIDTH) if others else SHARPENING[0]
        for case in (case for case in truths if case[0] == task):
            from_edges[case] = from_edge(evidence[case], factors, exponent)
            confirmed[case] = sharpened[constants].get(case, confirmed_answer(evidence[case], evidence[case].confirmed))
    return {f"{OURS}, one task left out": from_edges, f"{CONFIRMED}, one task left out": confirmed}


def fit_edges(evidence: Mapping[Case, Evidence], truths: Mapping[Case, Truth]) -> tuple[dict[str, float], float]:
    """Fit the centre of the good rates to each edge: a factor for each kind of optimizer, and the length's exponent.

    Least squares in log rate; a factor is drawn towards the mean of all as by one more case. Networks whose moving
    averages lag are left out: there is one, so that nothing remains to fit their lift to when it is scored.
    """
    cases = [case for case, seen in evidence.items() if seen.edge is not None and not is_lagging(seen)]
    kinds = sorted({evidence[case].kind for case in cases})
    below = np.array([math.log(truths[case].centre / (evidence[case].edge or math.nan)) for case in cases])
    columns = [[1.0, log_length(evidence[case]), *(evidence[case].kind == kind for kind in kinds)] for case in cases]
    matrix = np.array(columns, float)
    shrinkage = np.diag([0.0, 1e-6, *[SHRINKAGE] * len(kinds)])
    solved = np.linalg.solve(matrix.T @ matrix + shrinkage, matrix.T @ below)
    factors = {kind: math.exp(solved[0] + own) for kind, own in zip(kinds, solved[2:], strict=True)}
    return factors | {"": math.exp(solved[0])}, float(solved[1])


def is_lagging(seen: Evidence) -> bool:
    return lags(seen.bounds.training_steps, seen.bounds.averaging_steps)


def log_length(seen: Evidence) -> float:
    return math.log(seen.full_steps / STEPS_A_DECADE / USUAL_LENGTH)


def from_edge(seen: Evidence, factors: Mapping[str, float], exponent: float) -> Answer:
    """Answer with these factors; bounds that are read from a rise alone stay as they are."""
    if seen.edge is None or seen.diverged is None:
        return answer_of(seen.bounds, seen.num_steps)
    suggested = seen.edge * factors.get(seen.kind, factors[""]) * math.exp(exponent * log_length(seen))
    suggested = min(suggested, seen.diverged)
    return Answer(suggested / WIDTH, min(WIDTH * suggested, seen.diverged), suggested, seen.num_steps)


def fit(tried: Mapping[Constants, Mapping[Case, Score]], cases: Sequence[Case], widest: float) -> Constants:
    """Return the constants that cover most at that median width and then have the least regret."""
    rows = []
    for constants, scores in tried.items():
        widths = [width for case in cases if (width := scores[case].width) is not None]
        if widths and statistics.median(widths) <= widest:
            covers = sum(scores[case].covers[0] for case in cases)
            rows.append((-covers, statistics.mean(scores[case].regret for case in cases), constants))
    return min(rows)[2]


def from_confirmation(seen: Evidence, constants: Constants) -> Answer:
    """Answer with these constants of the sharpening, on the same short trainings: tolerance, reach, trusted."""
    tolerance, reach, trusted = constants
    assert seen.confirmation is not None
    optimizer = seen.kind
    sharpened = sharpen(
        seen.bounds, seen.confirmation, optimizer=optimizer, tolerance=tolerance, reach=reach, trusted=trusted
    )
    return confirmed_answer(seen, sharpened)


if __name__ == "__main__":
    main()
