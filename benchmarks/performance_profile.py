"""Draw performance profiles: the share of searches that a way ends within so many times the steps of the best way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from oracle_tasks import NEAR
from searches import Reached

MOST = 4.0  # times the best way's steps, as AlgoPerf draws them (arXiv:2306.07179)


def draw_profiles(tasks: Sequence[Mapping[str, Sequence[Reached]]], file: Path) -> None:
    """Draw one panel for each target; a target that a way missed took it infinitely long.

    Args:
        tasks: the searches of each way, for each task; those of one place have the same optimizers and seed.
        file: the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(NEAR), 4), layout="constrained")
    factors = np.linspace(1, MOST, 200)
    for at, (axes, near) in enumerate(
        zip(np.atleast_1d(figure.subplots(1, len(NEAR), sharey=True)), NEAR, strict=True)
    ):
        for way in tasks[0]:
            ratios = np.concatenate([_ratios(searches, way, at) for searches in tasks])
            axes.plot(factors, [(ratios <= factor).mean() for factor in factors], label=way)
        axes.set(title=f"within {near:.0%} of the scale", xlabel="times the steps of the best way", ylim=(0, 1))
    axes.legend(fontsize="small")
    figure.axes[0].set_ylabel("share of searches")
    figure.savefig(file, dpi=120)


def _ratios(searches: Mapping[str, Sequence[Reached]], way: str, at: int) -> np.ndarray:
    """Return the steps of each search of a way to those of the best way; infinite where it, or every way, missed."""
    taken = {other: np.array([_taken(one, at) for one in reached]) for other, reached in searches.items()}
    best = np.min(list(taken.values()), axis=0)
    return np.where(np.isfinite(taken[way]), taken[way] / np.where(np.isfinite(best), best, 1.0), math.inf)


def _taken(reached: Reached, at: int) -> float:
    return reached.trainings[at] if reached.is_reached[at] else math.inf
