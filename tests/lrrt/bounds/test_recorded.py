"""What is true of the bounds of real tasks, judged anew from curves that were recorded, against full trainings."""

import sys
from pathlib import Path
from statistics import fmean

import pytest

import lrrt

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def scored():
    """Each case's score and bounds; what is set aside, and the cold steps of others, are left out."""
    before = sys.path[:]
    sys.path.insert(0, str(BENCHMARKS))
    from evidence import answer_of, evidence_of
    from recorded import read

    sys.path[:] = before
    cases = {}
    for name in ("oracle", "more_tasks", "noisy"):
        recorded = read(BENCHMARKS / "recorded" / f"{name}.json")
        for case, seen in evidence_of(recorded).items():
            score = recorded[case].truth.score(answer_of(seen.bounds, seen.num_steps))
            cases[name, *case] = score, seen.bounds
    return cases


def test_bounds_of_real_tasks_hold_good_rates(scored):
    scores = [score for score, _ in scored.values()]

    assert fmean(score.covers[0] for score in scores) >= 0.93
    assert fmean(score.regret for score in scores) < 0.08
    assert fmean(score.num_steps for score in scores) < 140


def test_so_do_those_of_regressions_whose_noise_hides_the_fall(scored):
    scores = [score for (name, *_), (score, _) in scored.items() if name == "noisy"]

    assert all(score.covers[0] for score in scores)
    assert fmean(score.regret for score in scores) < 0.02


def test_bounds_that_are_found_seldom_miss(scored):
    found = [score for score, bounds in scored.values() if bounds.verdict is lrrt.Verdict.FOUND]

    assert fmean(score.covers[0] for score in found) >= 0.95
