"""Score what a rule says of a learning rate against full trainings at a grid of constant rates."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tables import Cell

GOOD = (0.05, 0.02, 0.01)  # of the scale
DRAWS = (1, 2, 4, 8)
NUM_PLACES = 400  # rates inside the bounds at which the regret is read
SLACK = 1e-3  # relative; grids are rounded
NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rule says of one case; rates are None if it says nothing. `num_steps` is what the rule trained."""

    low: float | None = None
    high: float | None = None
    suggested: float | None = None
    num_steps: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """How an answer compares with the truth.

    `covers` says for each of `GOOD` whether such a rate lies inside, `drawn` is the expected regret of the best of each
    of `DRAWS` rates, log-uniform inside. `contains` says whether the best rate of the grid lies inside. The width is in
    decades, None if there are no bounds.
    """

    covers: tuple[bool, ...]
    contains: bool
    width: float | None
    regret: float
    drawn: tuple[float, ...]
    num_steps: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What full trainings of one case reached: `values[i]` is the mean over the seeds at `rates[i]`."""

    rates: NDArray[np.float64]
    values: NDArray[np.float64]
    start: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Truth:
        """Read a case of `oracle.json`; what diverged or was not trained is as bad as untrained."""
        start = data["init_val_loss"]
        seeds = [[start if value is None else min(value, start) for value in seed] for seed in data["best_val_loss"]]
        return cls(np.array(data["rates"], float), np.mean(seeds, axis=0), start)

    @classmethod
    def from_deepobs(cls, data: Mapping[str, Any]) -> Truth:
        """Read a case of DeepOBS, where the test loss stands for the validation loss."""
        runs = data["runs"]
        start = statistics.median(run["test_loss"][0] for run in runs if run["test_loss"][0] is not None)
        best = [min([start, *(loss for loss in run["test_loss"] if loss is not None)]) for run in runs]
        return cls(np.array([run["rate"] for run in runs], float), np.array(best), start)

    @property
    def excess(self) -> NDArray[np.float64]:
        """How far each rate is from the best one, in parts of the scale; 1 at the most."""
        return np.minimum((self.values - self.values.min()) / (self.start - self.values.min()), 1.0)

    @property
    def best(self) -> float:
        return float(self.rates[self.values.argmin()])

    @property
    def centre(self) -> float:
        """The centre of the good rates: the mean log rate, each weighted by exp(-excess / .05)."""
        return math.exp(float(np.average(np.log(self.rates), weights=np.exp(-self.excess / GOOD[0]))))

    def regret(self, rates: Any) -> Any:
        """Read the excess at any rates, interpolated in log rate."""
        return np.interp(np.log(rates), np.log(self.rates), self.excess)

    def score(self, answer: Answer) -> Score:
        regret = 1.0 if answer.suggested is None else float(self.regret(answer.suggested))
        if answer.low is None or answer.high is None:
            drawn = (regret,) * len(DRAWS) if answer.suggested is not None else (1.0,) * len(DRAWS)
            return Score((False,) * len(GOOD), False, None, regret, drawn, answer.num_steps)
        inside = (self.rates >= answer.low * (1 - SLACK)) & (self.rates <= answer.high * (1 + SLACK))
        least = float(self.excess[inside].min()) if inside.any() else 1.0
        return Score(
            tuple(least <= good for good in GOOD),
            bool(inside[self.values.argmin()]),
            math.log10(answer.high / answer.low),
            regret,
            best_of_draws(np.sort(self.regret(np.geomspace(answer.low, answer.high, NUM_PLACES)))),
            answer.num_steps,
        )


def best_of_draws(regrets: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the expected least of so many draws from equally likely regrets, which ascend.

    >>> [round(value, 3) for value in best_of_draws(np.linspace(0, 1, 1000))]
    [0.5, 0.333, 0.2, 0.111]
    """
    above = 1 - np.arange(len(regrets) + 1) / len(regrets)
    return tuple(float(np.dot(regrets, above[:-1] ** draws - above[1:] ** draws)) for draws in DRAWS)


def wilson(successes: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    >>> [round(end, 2) for end in wilson(42, 42)]
    [0.92, 1.0]
    """
    share, z = successes / total, NORMAL_95**2 / total
    middle = (share + z / 2) / (1 + z)
    half = math.sqrt(z * share * (1 - share) + z**2 / 4) / (1 + z)
    return max(middle - half, 0.0), min(middle + half, 1.0)


HEADS = (
    *("", *(f"covers {good:.0%}" for good in GOOD), "95 % of the first", "contains", "width"),
    *("regret", "median regret", *(f"best of {draws}" for draws in DRAWS), "steps"),
)


def row_of(way: str, scores: Sequence[Score]) -> tuple[Cell, ...]:
    """Return shares with an interval, median width, mean and median regret, mean regret of draws, mean steps."""
    widths = [score.width for score in scores if score.width is not None]
    shares: tuple[Cell, ...] = (None,) * (len(GOOD) + 3)
    if widths:
        covers = [statistics.fmean(score.covers[i] for score in scores) for i in range(len(GOOD))]
        interval = wilson(sum(score.covers[0] for score in scores), len(scores))
        contains = statistics.fmean(score.contains for score in scores)
        shares = (*covers, "{:.2f} to {:.2f}".format(*interval), contains, float(statistics.median(widths)))
    regrets = [score.regret for score in scores]
    drawn = [statistics.fmean(of_cases) for of_cases in zip(*(score.drawn for score in scores), strict=True)]
    steps = statistics.fmean(score.num_steps for score in scores)
    return (way, *shares, statistics.fmean(regrets), float(statistics.median(regrets)), *drawn, steps or None)
