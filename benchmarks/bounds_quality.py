"""Score bounds, ours and the field's, read from the same range curves, against full trainings.

    python benchmarks/bounds_quality.py [FILE ..] [--by-task] [--json FILE] [--confirmed-json FILE]

A FILE is what `recorded.py` recorded: of each case, whole range curves of the real Keras model and the best validation
loss of a full training at each of a grid of constant rates. By default all of `recorded/` but the tasks that are set
aside are scored, in seconds: the rule reads the curves as the range test does, part by part and repeat by repeat, for a
training as long as the full one. Confirmed are cases whose short trainings were recorded, if they were run for the
bounds that the rule still gives; they cost no more than one full training. Of DeepOBS's problems, the losses after 100
cold steps at each rate are read as a range curve, and those of two are range tests as well.

b(lr) is the best validation loss of a full training at that rate, no higher than the loss before training, averaged
over the seeds; the scale of a case is the loss before training minus the lowest b. Over the cases, where one without an
answer is a miss with a regret of 1:

covers: the share of cases with a rate inside [low, high] whose b is within 5, 2, 1 % of the scale of the lowest b.
contains: the share of cases whose best rate lies inside.
width: the median of log10(high / low), in decades.
regret: the mean of (b(suggested) - lowest b) / scale, with b interpolated in the log of the rate, 1 at the most.
best of so many: the mean over the cases of the expected regret of the best of so many rates, drawn log-uniformly
inside; below each table, that of the best of 4 on the median task.
steps: the mean number of training steps that the rule takes.

The field's tools train once; here they get three whole curves, and the median of what they say to each. The remembered
box reaches from the least to the greatest best rate of the same optimizer in all other tasks.

Leaving one task out: the constants of our rules are fitted anew to the other tasks, then scored on the one left out.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import field_rules
from arguments import file, file_to_write
from evidence import Evidence, answer_of, confirmed_answer, evidence_of, median
from recorded import HERE, Case, Recorded, read
from refitted import fit_edges, leaving_one_out
from tables import Cell, Table, show
from truths import DRAWS, HEADS, Answer, Truth, row_of

FIELD_STEPS = 300  # three whole ramps
SET_ASIDE = "set_aside"  # nothing is fitted to these
OURS = "lrrt"
CONFIRMED = "lrrt, confirmed"
REMEMBERED = "remembered box of the other tasks"
FIXED = "fixed 1e-5 to 1e-1"
VALLEY = "fastai valley, +- a decade"
COMPARED = (OURS, f"{OURS}, one task left out", CONFIRMED, REMEMBERED, FIXED)


def main() -> None:
    """Score what was recorded and print the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("files", type=file, nargs="*", default=default_files(), help="of recorded.py")
    parser.add_argument("--by-task", action="store_true", help="show three rules, task by task, and nothing else")
    parser.add_argument(
        "--json", type=file_to_write, help="write our bounds to this file, {task: {optimizer: {low, ...}}}"
    )
    parser.add_argument("--confirmed-json", type=file_to_write, help="write our confirmed bounds to this file")
    options = parser.parse_args()
    recorded: dict[Case, Recorded] = {}
    parts: dict[str, list[Case]] = {}
    for path in options.files:
        for case, one in read(path).items():
            recorded[case] = one
            parts.setdefault(f"{path.stem}{', cold steps' if one.is_cold else ''}", []).append(case)
    truths, evidence = {case: one.truth for case, one in recorded.items()}, evidence_of(recorded)
    answers = {way: {case: rule(seen) for case, seen in evidence.items()} for way, rule in RULES.items()}
    answers[CONFIRMED] = {case: given for case, given in answers[CONFIRMED].items() if evidence[case].confirmed}
    answers[REMEMBERED] = {case: remembered(case, truths, evidence) for case in truths}
    for path, way in ((options.json, OURS), (options.confirmed_json, CONFIRMED)):
        if path is not None:
            path.write_text(json.dumps(as_json(answers[way]), indent=2))
    if options.by_task:
        print_tasks(answers, truths)
        return
    if len({task for task, _ in truths}) > 1:
        answers |= leaving_one_out(OURS, evidence, truths)
    if len(parts) > 1:
        parts["all with range tests"] = [case for case, seen in evidence.items() if seen.whole]
    for name, cases in parts.items():
        print_part(name, cases, answers, truths)
    factors, exponent = fit_edges(evidence, truths)
    below = {kind: round(1 / factor, 1) for kind, factor in factors.items()}
    print(f"\nfitted to these: length^{exponent:.2f}, edge / {below}")


def default_files() -> list[Path]:
    return [file for file in sorted(HERE.glob("*.json")) if file.stem != SET_ASIDE]


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


RULES: dict[str, Callable[[Evidence], Answer]] = {
    OURS: lambda seen: answer_of(seen.bounds, seen.num_steps),
    CONFIRMED: lambda seen: confirmed_answer(seen, seen.confirmed),
    "first rule: lowest / 30 to diverged": first_rule,
    VALLEY: around(field_rules.fastai_valley),
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
    rows: list[tuple[Cell, ...]] = []
    for way, given in answers.items():
        told = [case for case in cases if case in given]
        if any(given[case].suggested is not None for case in told):
            title = way if len(told) == len(cases) else f"{way} ({len(told)} cases)"
            rows.append(row_of(title, [truths[case].score(given[case]) for case in told]))
    num_tasks = len({task for task, _ in cases})
    show(Table(f"{name}: {len(cases)} cases of {num_tasks} tasks", HEADS, tuple(rows)))
    compared = [way for way in COMPARED if all(case in answers.get(way, {}) for case in cases)]
    medians = {way: on_median_task(cases, answers[way], truths) for way in compared}
    print("best of 4, median task: " + ", ".join(f"{way} {median:.3f}" for way, median in medians.items()))


def print_tasks(answers: Mapping[str, Mapping[Case, Answer]], truths: Mapping[Case, Truth]) -> None:
    """Print a row for each task and way, the ways one below the other, and ours for all tasks together."""
    tasks: dict[str, list[Case]] = {}
    for case in truths:
        tasks.setdefault(case[0], []).append(case)
    rows = [
        row_of(f"{task}: {way}", [truths[case].score(answers[way][case]) for case in cases])
        for task, cases in tasks.items()
        for way in (OURS, FIXED, VALLEY)
    ]
    rows.append(row_of(f"all: {OURS}", [truths[case].score(answers[OURS][case]) for case in truths]))
    show(Table(f"{len(truths)} cases of {len(tasks)} tasks, task by task", HEADS, tuple(rows)))


def on_median_task(cases: Sequence[Case], given: Mapping[Case, Answer], truths: Mapping[Case, Truth]) -> float:
    """Return the median over the tasks of the mean expected regret of the best of 4 draws."""
    tasks: dict[str, list[float]] = {}
    for case in cases:
        tasks.setdefault(case[0], []).append(truths[case].score(given[case]).drawn[DRAWS.index(4)])
    return statistics.median(statistics.fmean(regrets) for regrets in tasks.values())


if __name__ == "__main__":
    main()
