"""Draw range curves: loss, and loss delta, against the learning rate of all optimizers on one axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrrt.bounds import Bounds
from lrrt.curve import RangeCurve
from lrrt.monitor import LOSS, Monitor
from lrrt.smoothing import DELTA_WINDOW, Floats, loss_deltas, smooth, starting_level
from lrrt.words import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too; yellow is left out, it is too light for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINE_STYLES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    *("-", "--", "-.", ":"),
    *((0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3))),
)  # one for each colour, told apart without colour too
LONG_LABEL = 16  # characters; two longer ones do not stand side by side in the legend
HEIGHT, LEGEND_ROW = 4.5, 0.22  # inches
HEADROOM = 0.6  # how far above the starting level the picture goes, in parts of the greatest drop

Curves = Mapping[str, Sequence[RangeCurve]]
Series = tuple[Floats, Floats]  # learning rates, and a value at each


def plot_losses(curves: Curves, bounds: Mapping[str, Bounds], *, ax: Axes | None = None) -> Figure:
    """Draw loss against learning rate: the median of the repeats' smoothed curves, and the band that they fill.

    Bounds are shaded, suggestions marked. If something else than the loss was watched, it is drawn instead, and the
    training loss faintly beside it.

    Args:
        curves: by optimizer, one curve for each repeat.
        bounds: by optimizer.
        ax: axes to draw on; a new figure if there are none.
    """
    monitor = next((repeats[0].monitor for repeats in curves.values() if repeats), LOSS)

    def smoothed(curve: RangeCurve) -> Series:
        watched = _watched(curve)
        return np.asarray(watched.lrs), smooth(watched.lrs, watched.losses)

    figure, axes = _draw_all(curves, bounds, smoothed, ax)
    for number, repeats in enumerate(curves.values() if monitor != LOSS else ()):
        for curve in repeats:
            axes.plot(curve.lrs, curve.losses, linewidth=0.6, alpha=0.25, color=COLOURS[number % len(COLOURS)])
    axes.set_ylabel("training loss of the step" if monitor == LOSS else f"{monitor.name} (faint: training loss)")
    axes.set_title(f"Learning-rate range test: {monitor.name}")
    _limit_to_progress(axes, curves, monitor)
    return figure


def plot_loss_deltas(curves: Curves, bounds: Mapping[str, Bounds], *, ax: Axes | None = None) -> Figure:
    """Draw the change of the loss per step over the last 20 steps; the steepest descent is the lowest point.

    Arguments are those of `plot_losses`.
    """

    def deltas(curve: RangeCurve) -> Series:
        return np.asarray(curve.lrs[DELTA_WINDOW:]), loss_deltas(curve.losses)

    figure, axes = _draw_all(curves, bounds, deltas, ax)
    axes.axhline(0.0, color="0.5", linewidth=0.8)
    axes.set_ylabel(f"loss delta per step, over {DELTA_WINDOW} steps")
    axes.set_title("Learning-rate range test: loss delta")
    lowest = min((float(values.min()) for values in _drawn(curves, deltas)), default=0.0)
    if lowest < 0:
        axes.set_ylim(1.15 * lowest, -lowest)
    return figure


def scale_rates(axes: Axes, *, num_labels: int = 5) -> None:
    """Make the x-axis logarithmic, for rates; raised exponents and nine marks a decade would take a second to be set.

    Args:
        axes: whose x-axis it is.
        num_labels: at the most.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=num_labels))
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:.0e}")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_all(
    curves: Curves, bounds: Mapping[str, Bounds], read: Callable[[RangeCurve], Series], ax: Axes | None
) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    columns = 1 if any(len(label) > LONG_LABEL for label in curves) else 2
    height = HEIGHT + LEGEND_ROW * math.ceil(len(curves) / columns)
    axes = Figure(figsize=(8, height), layout="constrained").add_subplot() if ax is None else ax
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes stand in a figure"
    scale_rates(axes, num_labels=10)
    for number, (label, repeats) in enumerate(curves.items()):
        colour, style = COLOURS[number % len(COLOURS)], LINE_STYLES[number % len(LINE_STYLES)]
        series = [one for one in (read(curve) for curve in repeats if curve.lrs) if len(one[1])]
        if series:
            lrs, least, middle, most = _band(series)
            axes.fill_between(lrs, least, most, color=colour, alpha=0.18, linewidth=0)
            axes.plot(lrs, middle, linewidth=1.8, color=colour, linestyle=style, label=_caption(label, bounds[label]))
        _mark(axes, bounds[label], colour, number, len(curves))
    axes.set_xlabel("learning rate (log scale)")
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns)
    return figure, axes


def _band(series: Sequence[Series]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return rates, and least, median and largest value of the repeats that tried each.

    Repeats try rates of the same ramp; later ones begin further up, and each ends when it diverges. The rates go as
    far as at least half of the repeats do.
    """
    end = sorted(lrs[-1] for lrs, _ in series)[len(series) // 2]
    rates = np.unique(np.concatenate([lrs[lrs <= end] for lrs, _ in series]))
    values = np.full((len(series), len(rates)), np.nan)
    for row, (lrs, shown) in zip(values, series, strict=True):
        row[np.searchsorted(rates, lrs[lrs <= end])] = shown[lrs <= end]
    return rates, np.nanmin(values, axis=0), np.nanmedian(values, axis=0), np.nanmax(values, axis=0)


def _drawn(curves: Curves, read: Callable[[RangeCurve], Series]) -> list[Floats]:
    return [values for repeats in curves.values() for _, values in map(read, repeats) if len(values)]


def _caption(label: str, bounds: Bounds) -> str:
    if bounds.low is None:
        return f"{label}: no bounds"
    return f"{label}: {rate_text(bounds.low)} to {rate_text(bounds.high)}, suggested {rate_text(bounds.suggested)}"


def _mark(axes: Axes, bounds: Bounds, colour: str, number: int, num_optimizers: int) -> None:
    """Shade the bounds in a band of the optimizer's own, so that six of them can be told apart; mark the suggestion."""
    if bounds.low is None or bounds.high is None or bounds.suggested is None:
        return
    bottom, top = number / num_optimizers, (number + 1) / num_optimizers
    axes.axvspan(bounds.low, bounds.high, bottom, top, color=colour, alpha=0.10, linewidth=0)
    axes.axvline(bounds.suggested, color=colour, linewidth=1.0, linestyle=(0, (2, 2)))


def _watched(curve: RangeCurve) -> RangeCurve:
    """Return what was watched, where it was measured, as it was."""
    if curve.monitor == LOSS:
        return curve
    every = slice(None, None, curve.monitor.every)
    return RangeCurve(curve.lrs[every], curve.monitored[every])


def _limit_to_progress(axes: Axes, curves: Curves, monitor: Monitor) -> None:
    """Leave out what diverging losses add: show from the best value of what was watched to a little beyond its start.

    The loss beside it may be of another size, and lie outside.
    """
    shown = [curve.judged() for repeats in curves.values() for curve in repeats if curve.losses]
    if not shown:
        return
    start = max(starting_level(curve.lrs, curve.losses) for curve in shown)
    best = min(min(curve.losses) for curve in shown)
    room = HEADROOM * (start - best) or 1.0
    axes.set_ylim(*sorted(monitor.sign * end for end in (best - 0.1 * room, start + room)))
