"""How good are the bounds: ours and the field's on the same range curves, scored against full trainings.

    python benchmarks/bounds_quality.py ORACLE_FOLDER [--json FILE] [--seed N]

ORACLE_FOLDER holds `tasks.py` (`NAMES`, `OPTIMIZERS`, `load(name)`) and `oracle.json`: for each task and optimizer the
validation loss before training and the best one of a full training at each of a dense grid of fixed rates, for each of
a few seeds. Each case's range test runs on the real Keras model by default settings: 3 ramps of 100 steps. What the
confirmation trains is no more than one full training of the case.

b(lr) is the best validation loss of a full training at that rate, no higher than the loss before training, averaged
over the seeds; the scale of a case is the loss before training minus the lowest b. A grid rate is good where b is
within 5 % of the scale of the lowest b. Over the cases, where one without an answer is a miss with a regret of 1:

covers: the share of cases with a good rate inside [low, high].
contains: the share of cases with the best rate inside.
width: the median of log10(high / low), in decades.
regret: the mean of (b(suggested) - lowest b) / scale, with b interpolated in the log of the rate, 1 at the most.

The field's tools train once; here they get our three curves, whole, and the median of what they say to each.

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
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import field_rules
import numpy as np
from numpy.typing import NDArray

from lrrt import Bounds, Loops, Ramp, RangeCurve, run_range_test
from lrrt.bounds import LION_FACTOR
from lrrt.confirmation import NUM_RATES, Confirmation, confirm, sharpen
from lrrt.reading import read_curve

GOOD = 0.05  # of the scale
SLACK = 1e-3  # relative; the oracle's rates are rounded
REPEATS = 3
OURS = "lrrt"
CONFIRMED = "lrrt, confirmed"

# What is tried when constants are fitted anew. The edge's factors: below, above, suggested below.
EDGE_FACTORS = tuple(itertools.product((12, 14, 16, 18, 20, 22, 25, 30), (1, 1.25, 1.5, 1.75, 2), (3, 4, 5, 6, 7, 8)))
EDGE_WIDTH = 1.5  # decades, at the most
SHARPENING = tuple(itertools.product((0.02, 0.03, 0.05, 0.08, 0.12), (2, 2.5, 3), (0, 0.05, 0.1, 0.2, 0.3)))
SHARP_WIDTH = 1.0
AS_GOOD = 0.005  # of regret; constants that differ by less are equally good

Case = tuple[str, str]  # task, optimizer
Constants = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rule says of one case; rates are None where it says nothing."""

    low: float | None = None
    high: float | None = None
    suggested: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """How an answer compares with the truth; the width is in decades, None where there are no bounds."""

    covers: bool
    contains: bool
    width: float | None
    regret: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What full trainings of one case reached: `values[i]` is b(`rates[i]`)."""

    rates: NDArray[np.float64]
    values: NDArray[np.float64]
    start: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Truth:
        start = data["init_val_loss"]
        seeds = [[start if value is None else min(value, start) for value in seed] for seed in data["best_val_loss"]]
        return cls(np.array(data["rates"], float), np.mean(seeds, axis=0), start)

    @property
    def excess(self) -> NDArray[np.float64]:
        """How far each rate is from the best one, in parts of the scale."""
        return (self.values - self.values.min()) / (self.start - self.values.min())

    def inside(self, answer: Answer) -> NDArray[np.bool_]:
        """Which grid rates lie in the bounds."""
        if answer.low is None or answer.high is None:
            return np.zeros(len(self.rates), bool)
        return (self.rates >= answer.low * (1 - SLACK)) & (self.rates <= answer.high * (1 + SLACK))

    def score(self, answer: Answer) -> Score:
        inside, regret = self.inside(answer), 1.0
        if answer.suggested is not None:
            excess = np.interp(math.log(answer.suggested), np.log(self.rates), self.excess)
            regret = min(float(excess), 1.0)
        width = math.log10(answer.high / answer.low) if answer.low and answer.high else None
        return Score(bool((inside & (self.excess <= GOOD)).any()), bool(inside[self.values.argmin()]), width, regret)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on one case.

    `whole` are the range test's curves with nothing cut off; `edge` and `diverged` what is read from them, as for the
    bounds; `confirmed` the bounds that the short trainings of `confirmation` sharpened; `kind` the optimizer's Keras
    name.
    """

    whole: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    edge: float | None
    diverged: float | None
    bounds: Bounds
    confirmed: Bounds
    confirmation: Confirmation | None
    full_steps: int
    kind: str


def main() -> None:
    """Measure all cases and print the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, help="where oracle.json and tasks.py are")
    parser.add_argument("--json", type=Path, help="write our bounds to this file, {task: {optimizer: {low, ...}}}")
    parser.add_argument("--confirmed-json", type=Path, help="write our confirmed bounds to this file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    oracle = json.loads((options.folder / "oracle.json").read_text())
    truths = {(task, name): Truth.from_json(data) for task, cases in oracle.items() for name, data in cases.items()}
    evidence = dict(measure(load_tasks(options.folder / "tasks.py"), options.seed))
    evidence = {case: evidence[case] for case in truths}
    answers = {way: {case: rule(seen) for case, seen in evidence.items()} for way, rule in RULES.items()}
    for path, way in ((options.json, OURS), (options.confirmed_json, CONFIRMED)):
        if path is not None:
            path.write_text(json.dumps(as_json(answers[way]), indent=2))
    print_scores(answers, truths, evidence)
    print_left_out(evidence, truths)


def load_tasks(path: Path) -> ModuleType:
    """Import a file by its path.

    Raises:
        FileNotFoundError: where there is none.
    """
    spec = importlib.util.spec_from_file_location("oracle_tasks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def measure(tasks: ModuleType, seed: int) -> Iterator[tuple[Case, Evidence]]:
    """Run each task's range tests and confirmations."""
    for name in tasks.NAMES:
        task = tasks.load(name)
        loops = Loops(
            lambda task=task: compiled(task),
            (task.x, task.y),
            optimizers={label: make() for label, make in tasks.OPTIMIZERS.items()},
            batch_size=task.batch_size,
            validation_data=(task.x_val, task.y_val),
        )
        full_steps = task.epochs * math.ceil(len(task.x) / task.batch_size)
        result = run_range_test(loops, Ramp(), repeats=REPEATS, seed=seed)
        for label, bounds in result.bounds.items():
            whole = tuple(whole_curve(loops, label, seed + repeat) for repeat in range(REPEATS))
            kind = result.cases[label].kind
            edge, diverged = read_edge(result.curves[label], kind)
            confirmed, seen = confirm(loops, label, bounds, num_steps=full_steps // NUM_RATES, seed=seed)
            yield (name, label), Evidence(whole, edge, diverged, bounds, confirmed, seen, full_steps, kind)
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


def read_edge(curves: Sequence[RangeCurve], kind: str) -> tuple[float | None, float | None]:
    """Return the medians of the edge and of the rate of divergence, with Lion's factor taken off."""
    readings = [reading for curve in curves if (reading := read_curve(curve)).edge is not None]
    edge, diverged = median(reading.edge for reading in readings), median(reading.diverged for reading in readings)
    shift = LION_FACTOR if kind == "lion" else 1.0
    return None if edge is None else edge / shift, None if diverged is None else diverged / shift


def answer_of(bounds: Bounds) -> Answer:
    return Answer(bounds.low, bounds.high, bounds.suggested)


def around(rule: Callable[..., float | None]) -> Callable[[Evidence], Answer]:
    """Make a rule that reads one rate into bounds: a decade below and above the median of what it reads."""

    def judge(seen: Evidence) -> Answer:
        rate = median(rule(*curve) for curve in seen.whole)
        return Answer() if rate is None else Answer(rate / 10, rate * 10, rate)

    return judge


def steepest_to_lowest(seen: Evidence) -> Answer:
    found = [pair for curve in seen.whole if (pair := field_rules.steepest_and_lowest(*curve)) is not None]
    steepest, below_lowest = median(pair[0] for pair in found), median(pair[1] for pair in found)
    if steepest is None or below_lowest is None:
        return Answer()
    return Answer(min(steepest, below_lowest), max(steepest, below_lowest), below_lowest)


def first_rule(seen: Evidence) -> Answer:
    found = [pair for curve in seen.whole if (pair := field_rules.first_rule(*curve)) is not None]
    lowest, diverged = median(pair[0] for pair in found), median(pair[1] for pair in found)
    if lowest is None or diverged is None:
        return Answer()
    return Answer(lowest / 30, diverged, lowest / 10)


def fixed(low: float | None, high: float | None, suggested: float | None = None) -> Callable[[Evidence], Answer]:
    """Make a rule that says the same of every case; where it suggests nothing, the middle of its bounds."""
    if suggested is None and low is not None and high is not None:
        suggested = math.sqrt(low * high)
    return lambda seen: Answer(low, high, suggested)


def median(rates: Iterable[float | None]) -> float | None:
    """Return the median in log rate of what was read, None where nothing was."""
    logs = [math.log(rate) for rate in rates if rate is not None]
    return math.exp(statistics.median(logs)) if logs else None


RULES: dict[str, Callable[[Evidence], Answer]] = {
    OURS: lambda seen: answer_of(seen.bounds),
    CONFIRMED: lambda seen: answer_of(seen.confirmed),
    "first rule: lowest / 30 to diverged": first_rule,
    "fastai valley, +- a decade": around(field_rules.fastai_valley),
    "fastai slide, +- a decade": around(field_rules.fastai_slide),
    "fastai steep, +- a decade": around(field_rules.fastai_steep),
    "fastai minimum / 10, +- a decade": around(field_rules.fastai_minimum),
    "torch-lr-finder, +- a decade": around(field_rules.torch_lr_finder),
    "Lightning, +- a decade": around(field_rules.lightning),
    "fastai 2.0: steepest to lowest / 10": steepest_to_lowest,
    "fixed 1e-5 to 1e-1": fixed(1e-5, 1e-1),
    "fixed 1e-4 to 1e-2": fixed(1e-4, 1e-2),
    "Keras's default, 1e-3": fixed(None, None, 1e-3),
}


def as_json(answers: Mapping[Case, Answer]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return {task: {optimizer: {"low": .., "high": .., "suggested": ..}}}."""
    tasks: dict[str, dict[str, dict[str, float | None]]] = {}
    for (task, optimizer), answer in answers.items():
        tasks.setdefault(task, {})[optimizer] = asdict(answer)
    return tasks


def print_scores(
    answers: Mapping[str, Mapping[Case, Answer]], truths: Mapping[Case, Truth], evidence: Mapping[Case, Evidence]
) -> None:
    """Print one row for each way, and what the confirmation cost."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    print(
        f"\nBounds against full trainings: {len(truths)} cases, {len({task for task, _ in truths})} tasks; {libraries}"
    )
    print_header()
    for way, given in answers.items():
        print_row(way, [truths[case].score(answer) for case, answer in given.items()])
    spent = [seen.confirmation.num_steps / seen.full_steps for seen in evidence.values() if seen.confirmation]
    if spent:
        print(f"steps to confirm, in full trainings: median {statistics.median(spent):.2f}, most {max(spent):.2f}")


def print_header() -> None:
    print(f"{'':48s} {'covers':>7s} {'contains':>9s} {'width':>6s} {'regret':>7s}")


def print_row(way: str, scores: Sequence[Score]) -> None:
    """Print covers, contains, median width and mean regret; a way that gives no bounds has a regret only."""
    widths = [score.width for score in scores if score.width is not None]
    regret = statistics.mean(score.regret for score in scores)
    if not widths:
        print(f"{way:48s} {'-':>7s} {'-':>9s} {'-':>6s} {regret:7.3f}")
        return
    covers, contains = (
        statistics.mean(values) for values in zip(*((s.covers, s.contains) for s in scores), strict=True)
    )
    print(f"{way:48s} {covers:7.3f} {contains:9.3f} {statistics.median(widths):6.2f} {regret:7.3f}")


def print_left_out(evidence: Mapping[Case, Evidence], truths: Mapping[Case, Truth]) -> None:
    """Print what our rules reach on each task with constants that were fitted to the others."""
    print("\nLeaving one task out: constants fitted to the others")
    print_header()
    for way, answer, candidates, widest in (
        (OURS, from_edge, EDGE_FACTORS, EDGE_WIDTH),
        (CONFIRMED, from_confirmation, SHARPENING, SHARP_WIDTH),
    ):
        tried = {
            constants: {case: truths[case].score(answer(seen, constants)) for case, seen in evidence.items()}
            for constants in candidates
        }
        left_out: list[Score] = []
        for task in dict.fromkeys(task for task, _ in truths):
            constants = fit(tried, [case for case in truths if case[0] != task], widest)
            own = [truths[case].score(answer(evidence[case], constants)) for case in truths if case[0] == task]
            print_row(f"  {way}: {task} {', '.join(f'{value:.3g}' for value in constants)}", own)
            left_out += own
        print_row(f"{way}, one task left out", left_out)


def fit(tried: Mapping[Constants, Mapping[Case, Score]], cases: Sequence[Case], widest: float) -> Constants:
    """Return the middle of the constants that cover most at that median width and have the least regret."""
    rows = []
    for constants, scores in tried.items():
        widths = [width for case in cases if (width := scores[case].width) is not None]
        if widths and statistics.median(widths) <= widest:
            covers = sum(scores[case].covers for case in cases)
            rows.append((covers, statistics.mean(scores[case].regret for case in cases), constants))
    most = max(covers for covers, _, _ in rows)
    least = min(regret for covers, regret, _ in rows if covers == most)
    best = [constants for covers, regret, constants in rows if covers == most and regret <= least + AS_GOOD]
    return tuple(np.median(best, axis=0).tolist())


def from_edge(seen: Evidence, constants: Constants) -> Answer:
    """Answer with these factors around the edge: below, above, suggested below."""
    below, above, suggested_below = constants
    if seen.edge is None or seen.diverged is None or seen.bounds.low is None:
        return Answer()
    high = min(above * seen.edge, seen.diverged)
    return Answer(seen.edge / below, high, min(seen.edge / suggested_below, high))


def from_confirmation(seen: Evidence, constants: Constants) -> Answer:
    """Answer with these constants of the sharpening, on the same short trainings: tolerance, reach, trusted."""
    tolerance, reach, trusted = constants
    if seen.confirmation is None:
        return answer_of(seen.bounds)
    return answer_of(
        sharpen(seen.bounds, seen.confirmation, optimizer=seen.kind, tolerance=tolerance, reach=reach, trusted=trusted)
    )


if __name__ == "__main__":
    main()
