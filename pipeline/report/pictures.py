"""Draw a study as a whole: its bounds within the tested range, its history, its optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from lrrt import RangeTestResult
from lrrt.plot import COLOURS, scale_rates
from lrrt.words import digits_text, on_one_line
from pipeline.report.rows import completed
from studies import Objective, SearchSpace, TrialResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#595959"
LOG_AXIS_RATIO = 5.0  # a larger factor between scores gets a logarithmic axis
MARKERS = "osD^vP*Xph<>"
LONG_LABEL = 22  # letters; a longer label would take the room of the rest
PANEL = 2.6  # inches; two side by side fit a phone with readable letters


def plot_narrowing(range_test: RangeTestResult, space: SearchSpace, best: TrialResult) -> Figure:
    """Draw for each optimizer the tested range, the bounds inside it, the suggestion and the best rate."""
    figure, axes = small_figure(0.9 + 0.5 * len(space.optimizers))
    colours = colours_of([*range_test.bounds, *(one.label for one in space.optimizers)])  # as in its own picture
    for row, searched in enumerate(space.optimizers):
        axes.plot([range_test.ramp.start_lr, range_test.ramp.end_lr], [row, row], color="0.85", linewidth=9, zorder=1)
        axes.plot(
            [searched.low, searched.highest_peak(space.schedules)],
            [row, row],
            color=colours[searched.label],
            linewidth=9,
            linestyle=":" if searched.is_fallback else "-",
            solid_capstyle="butt",
            zorder=2,
        )
        if searched.suggested is not None:
            axes.plot([searched.suggested], [row], "|", color="white", markersize=11, markeredgewidth=2, zorder=3)
        if searched == space.range_of(best.config):
            axes.plot([best.config.lr], [row], "*", color="black", markersize=12, zorder=4)
    scale_rates(axes)
    axes.set_yticks(range(len(space.optimizers)), [searched.label for searched in space.optimizers])
    axes.set_ylim(len(space.optimizers) - 0.4, -0.6)
    axes.set_xlabel("learning rate (log scale)")
    return figure


def plot_history(trials: Sequence[TrialResult]) -> Figure:
    """Draw the score of each trial in order, the best so far as a line, and trials without a score at the top."""
    figure, axes = small_figure(2.9)
    scored = completed(trials)
    numbers = [trial.number for trial in scored]
    scores = [score_of(trial) for trial in scored]
    axes.plot(numbers, scores, "o", color=COLOURS[0], alpha=0.7, markersize=5, label="score of a trial")
    axes.step(numbers, best_so_far(scored), where="post", color=COLOURS[1], linewidth=1.8, label="best so far")
    ended = sorted({trial.number for trial in trials} - set(numbers))
    if ended:
        height = axes.get_xaxis_transform()
        axes.plot(ended, [0.97] * len(ended), "x", color="black", transform=height, label="not trained to its end")
    scale_scores(axes, scores)
    _whole_numbers(axes)
    axes.set_xlabel("trial")
    axes.set_ylabel(score_label(trials))
    legend_above(axes)
    return figure


def plot_optimizers(trials: Sequence[TrialResult]) -> Figure:
    """Draw the scores of the optimizers side by side, with a marker for each schedule and a line for each median."""
    figure, axes = small_figure(2.9)
    scored = completed(trials)
    names = list(dict.fromkeys(trial.config.optimizer_name for trial in scored))
    schedules = list(dict.fromkeys(trial.config.schedule for trial in scored))
    colours = colours_of(schedules)
    for number, schedule in enumerate(schedules):
        of_schedule = [trial for trial in scored if trial.config.schedule == schedule]
        shift = 0.5 * ((number + 0.5) / len(schedules) - 0.5)  # side by side, so that none hides another
        places = [names.index(trial.config.optimizer_name) + shift for trial in of_schedule]
        axes.plot(
            places,
            [score_of(trial) for trial in of_schedule],
            MARKERS[number % len(MARKERS)],
            color=colours[schedule],
            alpha=0.8,
            markersize=5,
            label=schedule,
        )
    for place, name in enumerate(names):
        median = float(np.median([score_of(trial) for trial in scored if trial.config.optimizer_name == name]))
        axes.plot([place - 0.35, place + 0.35], [median, median], color=GREY, linewidth=1.2, zorder=1)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    scale_scores(axes, [score_of(trial) for trial in scored])
    axes.set_ylabel(score_label(trials))
    legend_above(axes)
    return figure


def plot_front(trials: Sequence[TrialResult], front: Sequence[TrialResult], objectives: Sequence[Objective]) -> Figure:
    """Draw each further objective against the first, with the trials of the Pareto front marked."""
    from matplotlib.figure import Figure

    first, *further = objectives
    figure = Figure(figsize=(2 * PANEL, 2.9 * len(further)), layout="constrained")
    for axes, second in zip(figure.subplots(len(further), 1, squeeze=False).flat, further, strict=True):
        for some, style, label in ((completed(trials), ".", "trial"), (front, "o", "on the front")):
            points = [(one.value_of(first), one.value_of(second)) for one in some]
            whole = [(x, y) for x, y in points if x is not None and y is not None]
            axes.plot([x for x, _ in whole], [y for _, y in whole], style, label=label)
        axes.set_xlabel(as_text(first.label))
        axes.set_ylabel(as_text(second.label))
        axes.grid(alpha=0.25)
        legend_above(axes)
    return figure


def small_figure(height: float) -> tuple[Figure, Axes]:
    """Make a figure whose letters can be read on a phone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * PANEL, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    return figure, axes


def score_of(trial: TrialResult) -> float:
    """Return the score of a trial that has one."""
    assert trial.score is not None, "trials without a score are left out before"
    return trial.score


def score_label(trials: Sequence[TrialResult]) -> str:
    """Return the words for the score of trials: "best validation loss"."""
    return f"best {as_text(trials[0].objective.label)}"


def best_so_far(trials: Sequence[TrialResult]) -> list[float]:
    """Return the best score up to each trial."""
    objective = trials[0].objective
    return [objective.score(cost) for cost in accumulate((objective.cost(score_of(one)) for one in trials), min)]


def as_text(name: str) -> str:
    """Return a user's name for a picture: not too long, and without mathematics for matplotlib."""
    short = name if len(name) <= LONG_LABEL else f"{name[: LONG_LABEL - 1]}…"
    return on_one_line(short).replace("$", r"\$")


def colours_of(names: Iterable[str]) -> Mapping[str, str]:
    """Give each name a colour, the same in every picture that names them in the same order."""
    unique = dict.fromkeys(names)
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(unique)}


def scale_scores(axes: Axes, scores: Sequence[float]) -> None:
    """Make the axis of the scores logarithmic if they are positive and far apart."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if scores and min(scores) > 0 and max(scores) > LOG_AXIS_RATIO * min(scores):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda score, _: digits_text(score, 3))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.12)


def legend_above(axes: Axes) -> None:
    """Put the legend above the axes, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9, borderaxespad=0.2)


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
