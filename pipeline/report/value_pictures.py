"""Draw hyperparameters against scores: how much each matters, slices of the rate, all values of a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrrt.plot import COLOURS, scale_rates
from lrrt.words import digits_text
from pipeline.report.pictures import (
    MARKERS,
    PANEL,
    as_text,
    colours_of,
    scale_scores,
    score_label,
    score_of,
    small_figure,
)
from pipeline.report.rows import completed
from studies import SearchSpace, TrialResult, TrialState
from studies.analysis.importance import RATE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Column = tuple[list[float], dict[str, float]]  # the height of each trial, and labels by height


def plot_importances(shares: Mapping[str, float]) -> Figure:
    """Draw the share of each hyperparameter as a bar, the most important on top."""
    figure, axes = small_figure(0.8 + 0.32 * len(shares))
    names = [_title(name) for name in shares]
    bars = axes.barh(names, list(shares.values()), color=COLOURS[0], height=0.6)
    axes.bar_label(bars, [f"{100 * share:.0f} %" for share in shares.values()], padding=3, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(shares.values()))
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.grid(visible=False)
    return figure


def plot_slices(trials: Sequence[TrialResult], space: SearchSpace) -> Figure:
    """Draw score against rate in a panel for each range: schedules by marker and colour, diverged trials at the top."""
    from matplotlib.figure import Figure

    scored = completed(trials)
    colours = colours_of(trial.config.schedule for trial in scored)
    tried = [searched for searched in space.optimizers if any(space.range_of(t.config) == searched for t in scored)]
    columns = min(2, len(tried))
    rows = -(-len(tried) // columns)
    figure = Figure(figsize=(2 * PANEL + 0.2, 2.5 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, searched in zip(panels.flat, tried, strict=False):
        inside = [trial for trial in trials if space.range_of(trial.config) == searched]
        _slice(axes, inside, colours)
        axes.set_title(searched.label, fontsize=10)
        axes.set_xlim(searched.low / 1.3, searched.highest_peak(space.schedules) * 1.3)
        scale_scores(axes, [score_of(trial) for trial in scored])
    for axes in panels.flat[len(tried) :]:
        axes.set_axis_off()
    figure.supxlabel("peak learning rate (log scale)", fontsize=10)
    figure.supylabel(score_label(trials), fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def plot_parallel(trials: Sequence[TrialResult]) -> Figure:
    """Draw each scored trial as a line through its values: the better, the darker; the best is bold.

    Values that are the same in all trials, or missing in some, are left out.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    scored = sorted(completed(trials), key=lambda trial: trial.cost or 0.0, reverse=True)
    columns = _columns(scored)
    figure, axes = small_figure(3.1)
    axes.grid(visible=False)
    shades = colormaps["viridis"](np.linspace(0.95, 0.0, len(scored)))
    *others, best = zip(*(heights for heights, _ in columns.values()), strict=True)
    lines = [list(enumerate(heights)) for heights in others]
    axes.add_collection(LineCollection(lines, colors=shades[:-1], alpha=0.6, linewidths=1.1, zorder=2))
    axes.plot(range(len(columns)), best, color=COLOURS[1], linewidth=2.6, zorder=3)
    for place, (_, ticks) in enumerate(columns.values()):
        _draw_axis(axes, place, ticks, is_last=place == len(columns) - 1)
    axes.set_xticks(range(len(columns)), [_title(name) for name in columns])
    axes.set_xlim(-0.1, len(columns) - 0.9)
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([])
    axes.set_frame_on(False)
    axes.tick_params(length=0)
    return figure


def _slice(axes: Axes, trials: Sequence[TrialResult], colours: Mapping[str, str]) -> None:
    for number, (schedule, colour) in enumerate(colours.items()):
        of_it = [trial for trial in completed(trials) if trial.config.schedule == schedule]
        axes.plot(
            [trial.config.lr for trial in of_it],
            [score_of(trial) for trial in of_it],
            MARKERS[number % len(MARKERS)],
            color=colour,
            alpha=0.8,
            markersize=5,
            label=schedule,
        )
    diverged = [trial.config.lr for trial in trials if trial.state is TrialState.DIVERGED]
    if diverged:
        height = axes.get_xaxis_transform()
        axes.plot(diverged, [0.96] * len(diverged), "x", color="black", markersize=5, transform=height)
    scale_rates(axes)
    axes.grid(alpha=0.25)


def _columns(scored: Sequence[TrialResult]) -> dict[str, Column]:
    """Return the values that every trial has and that differ; also the rates and the scores."""
    values = [trial.config.parameters() for trial in scored]
    shared = [name for name in values[0] if all(name in others for others in values) and not name.startswith("lr__")]
    differing = {name: [one[name] for one in values] for name in shared if len({one[name] for one in values}) > 1}
    return {
        **{
            name: _numbers([float(value) for value in given])
            if all(isinstance(value, int | float) and not isinstance(value, bool) for value in given)
            else _ranks([str(value) for value in given])
            for name, given in differing.items()
        },
        RATE: _numbers([trial.config.lr for trial in scored], is_log=True),
        "score": _by_rank([score_of(trial) for trial in scored]),
    }


def _draw_axis(axes: Axes, place: int, ticks: Mapping[str, float], *, is_last: bool) -> None:
    axes.axvline(place, color="0.6", linewidth=0.8, zorder=1)
    for label, height in ticks.items():
        axes.annotate(
            label,
            (place, height),
            xytext=(-4 if is_last else 4, 0),
            textcoords="offset points",
            fontsize=8,
            ha="right" if is_last else "left",
            va="center",
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8},
            zorder=4,
        )


def _title(name: str) -> str:
    """Return the name of a hyperparameter in pictures."""
    return "peak rate" if name == RATE else as_text(name.replace("_", " "))


def _ranks(names: Sequence[str]) -> Column:
    unique = sorted(set(names))
    heights = {name: (place + 0.5) / len(unique) for place, name in enumerate(unique)}
    return [heights[name] for name in names], {as_text(name): height for name, height in heights.items()}


def _numbers(values: Sequence[float], *, is_log: bool = False) -> Column:
    """Return heights from 0 to 1, and the labels of the lowest and the highest."""
    scaled = [math.log(value) for value in values] if is_log else list(values)
    low, high = min(scaled), max(scaled)
    if high == low:
        return [0.5] * len(values), {digits_text(values[0], 3): 0.5}
    heights = [(value - low) / (high - low) for value in scaled]
    return heights, {digits_text(min(values), 3): 0.0, digits_text(max(values), 3): 1.0}


def _by_rank(scores: Sequence[float]) -> Column:
    """Return evenly spaced heights for scores, the worst first: one bad trial does not press the others together."""
    heights = np.linspace(1.0, 0.0, len(scores)).tolist() if len(scores) > 1 else [0.5]
    return heights, {digits_text(scores[0], 3): heights[0], digits_text(scores[-1], 3): heights[-1]}
