"""Knows how a study looks: its history, its optimizers and schedules, its rates inside the bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrrt import RangeTestResult
from lrrt.plot import COLOURS
from studies import SearchSpace, TrialResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#595959"
LOG_AXIS_RATIO = 20.0  # scores over more than this factor are drawn on a logarithmic axis
MARKERS = "osD^vP*Xph<>"
PANEL = 2.6  # inches; two beside each other fit a phone with letters that can be read


def plot_narrowing(range_test: RangeTestResult, space: SearchSpace, best: TrialResult) -> Figure:
    """Draw for each optimizer the range that was tested, the bounds inside it, the suggestion and the best rate."""
    figure, axes = _figure(0.9 + 0.5 * len(space.optimizers))
    colours = _colours(found.name for found in space.optimizers)
    for row, found in enumerate(space.optimizers):
        axes.plot([range_test.ramp.start_lr, range_test.ramp.end_lr], [row, row], color="0.85", linewidth=9, zorder=1)
        axes.plot(
            [found.low, found.high],
            [row, row],
            color=colours[found.name],
            linewidth=9,
            linestyle=":" if found.is_fallback else "-",
            solid_capstyle="butt",
            zorder=2,
        )
        if found.suggested is not None:
            axes.plot([found.suggested], [row], "|", color="white", markersize=11, markeredgewidth=2, zorder=3)
        if found.name == best.config.optimizer_name:
            axes.plot([best.config.lr], [row], "*", color="black", markersize=12, zorder=4)
    scale_rates(axes)
    axes.set_yticks(range(len(space.optimizers)), [found.name for found in space.optimizers])
    axes.set_ylim(len(space.optimizers) - 0.4, -0.6)
    axes.set_xlabel("learning rate (log scale)")
    return figure


def plot_history(trials: Sequence[TrialResult]) -> Figure:
    """Draw the score of each trial in their order, the best so far as a line, those without a score at the top."""
    figure, axes = _figure(2.9)
    scored = _scored(trials)
    numbers = [trial.number for trial in scored]
    scores = [_score(trial) for trial in scored]
    axes.plot(numbers, scores, "o", color=COLOURS[0], alpha=0.7, markersize=5, label="score of a trial")
    axes.step(
        numbers, np.minimum.accumulate(scores), where="post", color=COLOURS[1], linewidth=1.8, label="best so far"
    )
    ended = [trial.number for trial in trials if trial not in scored]
    if ended:
        height = axes.get_xaxis_transform()
        axes.plot(ended, [0.97] * len(ended), "x", color="black", transform=height, label="not trained to its end")
    _scale(axes, scores)
    _whole_numbers(axes)
    axes.set_xlabel("trial")
    axes.set_ylabel("best validation loss")
    _legend_above(axes)
    return figure


def plot_optimizers(trials: Sequence[TrialResult]) -> Figure:
    """Draw the scores of each optimizer beside each other, the schedules by marker, medians as lines."""
    figure, axes = _figure(2.9)
    scored = _scored(trials)
    names = list(dict.fromkeys(trial.config.optimizer_name for trial in scored))
    schedules = list(dict.fromkeys(trial.config.schedule for trial in scored))
    colours = _colours(schedules)
    for number, schedule in enumerate(schedules):
        of_it = [trial for trial in scored if trial.config.schedule == schedule]
        shift = 0.5 * ((number + 0.5) / len(schedules) - 0.5)  # beside each other, so that none hides another
        places = [names.index(trial.config.optimizer_name) + shift for trial in of_it]
        axes.plot(
            places,
            [_score(trial) for trial in of_it],
            MARKERS[number % len(MARKERS)],
            color=colours[schedule],
            alpha=0.8,
            markersize=5,
            label=schedule,
        )
    for place, name in enumerate(names):
        median = float(np.median([_score(trial) for trial in scored if trial.config.optimizer_name == name]))
        axes.plot([place - 0.35, place + 0.35], [median, median], color=GREY, linewidth=1.2, zorder=1)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    _scale(axes, [_score(trial) for trial in scored])
    axes.set_ylabel("best validation loss")
    _legend_above(axes)
    return figure


def plot_slices(trials: Sequence[TrialResult], space: SearchSpace) -> Figure:
    """Draw score against rate, one panel an optimizer inside its bounds, the schedules by marker and colour."""
    from matplotlib.figure import Figure

    scored = _scored(trials)
    tried = [found for found in space.optimizers if any(t.config.optimizer_name == found.name for t in scored)]
    columns = min(2, len(tried))
    rows = -(-len(tried) // columns)
    figure = Figure(figsize=(PANEL * columns + 0.2, 2.5 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    colours = _colours(dict.fromkeys(trial.config.schedule for trial in scored))
    for axes, found in zip(panels.flat, tried, strict=False):
        for number, (schedule, colour) in enumerate(colours.items()):
            of_it = [t for t in scored if t.config.optimizer_name == found.name and t.config.schedule == schedule]
            axes.plot(
                [trial.config.lr for trial in of_it],
                [_score(trial) for trial in of_it],
                MARKERS[number % len(MARKERS)],
                color=colour,
                alpha=0.8,
                markersize=5,
                label=schedule,
            )
        scale_rates(axes)
        axes.set_xlim(found.low / 1.3, found.high * 1.3)
        axes.set_title(found.name, fontsize=10)
        axes.grid(alpha=0.25)
        _scale(axes, [_score(trial) for trial in scored])
    for axes in panels.flat[len(tried) :]:
        axes.set_axis_off()
    figure.supxlabel("peak learning rate (log scale)", fontsize=10)
    figure.supylabel("best validation loss", fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def plot_parallel(trials: Sequence[TrialResult]) -> Figure:
    """Draw each scored trial as a line through its values, darker the better, the best strong."""
    from matplotlib import colormaps

    scored = sorted(_scored(trials), key=_score, reverse=True)
    columns = {
        "optimizer": _ranks([trial.config.optimizer_name for trial in scored]),
        "schedule": _ranks([trial.config.schedule for trial in scored]),
        "peak rate": _numbers([trial.config.lr for trial in scored], is_log=True),
        "batch size": _numbers([trial.config.batch_size for trial in scored]),
        "score": _numbers([_score(trial) for trial in scored]),
    }
    figure, axes = _figure(3.1)
    shades = colormaps["viridis"](np.linspace(0.95, 0.0, len(scored)))
    for place, shade in enumerate(shades):
        heights = [column[0][place] for column in columns.values()]
        is_best = place == len(scored) - 1
        axes.plot(
            range(len(columns)),
            heights,
            color=COLOURS[1] if is_best else shade,
            alpha=1.0 if is_best else 0.6,
            linewidth=2.6 if is_best else 1.1,
            zorder=3 if is_best else 2,
        )
    for place, (_, ticks) in enumerate(columns.values()):
        axes.axvline(place, color="0.6", linewidth=0.8, zorder=1)
        for label, height in ticks.items():
            axes.annotate(
                label,
                (place, height),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=8,
                va="center",
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8},
                zorder=4,
            )
    axes.set_xticks(range(len(columns)), list(columns))
    axes.set_xlim(-0.1, len(columns) - 0.55)
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([])
    axes.set_frame_on(False)
    axes.tick_params(length=0)
    return figure


def scale_rates(axes: Axes) -> None:
    """Make the axis of the rates logarithmic; labels without raised exponents, because setting those takes a second."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:.0e}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * PANEL, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    return figure, axes


def _scored(trials: Sequence[TrialResult]) -> list[TrialResult]:
    return [trial for trial in trials if trial.state.name == "COMPLETED" and trial.score is not None]


def _score(trial: TrialResult) -> float:
    assert trial.score is not None, "trials without a score are left out before"
    return trial.score


def _colours(names: object) -> Mapping[str, str]:
    unique = dict.fromkeys(names)  # type: ignore[call-overload]
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(unique)}


def _scale(axes: Axes, scores: Sequence[float]) -> None:
    if scores and min(scores) > 0 and max(scores) > LOG_AXIS_RATIO * min(scores):
        axes.set_yscale("log")
    axes.margins(y=0.12)


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9, borderaxespad=0.2)


def _ranks(names: Sequence[str]) -> tuple[list[float], dict[str, float]]:
    unique = sorted(set(names))
    heights = {name: (place + 0.5) / len(unique) for place, name in enumerate(unique)}
    return [heights[name] for name in names], heights


def _numbers(values: Sequence[float], *, is_log: bool = False) -> tuple[list[float], dict[str, float]]:
    """Return heights from 0 to 1, and the labels of the lowest and the highest."""
    scaled = [math.log(value) for value in values] if is_log else list(values)
    low, high = min(scaled), max(scaled)
    if high == low:
        return [0.5] * len(values), {f"{values[0]:.3g}": 0.5}
    heights = [(value - low) / (high - low) for value in scaled]
    return heights, {f"{min(values):.3g}": 0.0, f"{max(values):.3g}": 1.0}
