"""Fit the constants of the rules anew to all tasks but one, and answer for that one with them."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
from evidence import Evidence, answer_of, confirmed_answer
from recorded import Case
from truths import Answer, Score, Truth

from lrrt.factors import USUAL_LENGTH, WIDTH, lags
from lrrt.sharpening import sharpen

STEPS_A_DECADE = 99 / 8  # of the default ramp
# What is tried.
SHARPENING = tuple(itertools.product((0.02, 0.03, 0.05, 0.08, 0.12), (2, 2.5, 3), (0, 0.05, 0.1, 0.2, 0.3)))
SHARP_WIDTH = 1.0
SHRINKAGE = 1.0  # cases that an optimizer's own factor must outweigh

Constants = tuple[float, ...]


def leaving_one_out(
    ours: str, evidence: Mapping[Case, Evidence], truths: Mapping[Case, Truth]
) -> dict[str, dict[Case, Answer]]:
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
            if evidence[case].confirmed is not None:
                sharp = sharpened[constants].get(case)
                confirmed[case] = sharp or confirmed_answer(evidence[case], evidence[case].confirmed)
    return {f"{ours}, one task left out": from_edges, f"{ours}, confirmed, one task left out": confirmed}


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
