"""Knows how range curves look: loss, and loss delta, against the learning rate of all optimizers on one axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lrrt.bounds import Bounds
from lrrt.curve import DELTA_WINDOW, Floats, RangeCurve, loss_deltas, smooth, starting_level
from lrrt.monitor import LOSS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too; yellow is left out, it is too light for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")
HEADROOM = 0.6  # how far above the starting level the picture goes, in parts of the greatest drop

Curves = Mapping[str, Sequence[RangeCurve]]


def plot_losses(curves: Curves, bounds: Mapping[str, Bounds], *, ax: Axes | None = None) -> Figure:
    """Draw loss against learning rate: each repeat faint, its smoothed curve strong, bounds shaded, suggestion marked.

    Args:
        curves: by optimizer, one curve for each repeat.
        bounds: by optimizer.
        ax: axes to draw on; a new figure where there are none.
    """

    def draw(axes: Axes, curve: RangeCurve, style: dict[str, object]) -> Floats:
        watched = _watched(curve)
        axes.plot(curve.lrs, curve.losses, linewidth=0.6, alpha=0.25, color=style["color"])
        smoothed = smooth(watched.lrs, watched.losses)
        axes.plot(watched.lrs, smoothed, linewidth=1.6, alpha=0.85, **style)  # type: ignore[arg-type]
        return smoothed

    figure, axes = _draw_all(curves, bounds, draw, ax)
    monitor = next((repeats[0].monitor for repeats in curves.values() if repeats), LOSS)
    axes.set_ylabel("training loss of the step" if monitor == LOSS else f"{monitor.name} (faint: training loss)")
    axes.set_title("Learning-rate range test: loss")
    _limit_to_descent(axes, curves)
    return figure


def plot_loss_deltas(curves: Curves, bounds: Mapping[str, Bounds], *, ax: Axes | None = None) -> Figure:
    """Draw the change of the loss per step over the last 20 steps; the steepest descent is the lowest point.

    Arguments are those of `plot_losses`.
    """
    lowest: list[float] = []

    def draw(axes: Axes, curve: RangeCurve, style: dict[str, object]) -> Floats:
        deltas = loss_deltas(curve.losses)
        if len(deltas):
            lowest.append(float(deltas.min()))
            axes.plot(curve.lrs[DELTA_WINDOW:], deltas, linewidth=1.4, alpha=0.85, **style)  # type: ignore[arg-type]
        return deltas

    figure, axes = _draw_all(curves, bounds, draw, ax)
    axes.axhline(0.0, color="0.5", linewidth=0.8)
    axes.set_ylabel(f"loss delta per step, over {DELTA_WINDOW} steps")
    axes.set_title("Learning-rate range test: loss delta")
    if lowest and min(lowest) < 0:
        axes.set_ylim(1.15 * min(lowest), -min(lowest))
    return figure


def _draw_all(
    curves: Curves,
    bounds: Mapping[str, Bounds],
    draw: Callable[[Axes, RangeCurve, dict[str, object]], Floats],
    ax: Axes | None,
) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    axes = Figure(figsize=(8, 4.8), layout="constrained").add_subplot() if ax is None else ax
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes stand in a figure"
    axes.set_xscale("log")
    for number, (label, repeats) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        style: dict[str, object] = {"color": colour, "linestyle": LINE_STYLES[number % len(LINE_STYLES)]}
        for repeat, curve in enumerate(repeats):
            if curve.lrs:
                draw(axes, curve, style | ({"label": _caption(label, bounds[label])} if repeat == 0 else {}))
        _mark(axes, bounds[label], colour, number, len(curves))
    axes.set_xlabel("learning rate (log scale)")
    axes.grid(alpha=0.25)
    if axes.lines:
        axes.legend(fontsize="small", loc="best")
    return figure, axes


def _caption(label: str, bounds: Bounds) -> str:
    if bounds.low is None:
        return f"{label}: no bounds"
    return f"{label}: {bounds.low:.1e} to {bounds.high:.1e}, suggested {bounds.suggested:.1e}"


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


def _limit_to_descent(axes: Axes, curves: Curves) -> None:
    """Leave out what diverging losses add: show from the lowest loss to a little above the highest start."""
    shown = [curve for repeats in curves.values() for curve in repeats if curve.losses]
    if not shown:
        return
    everything = shown + [_watched(curve) for curve in shown]
    start = max(starting_level(curve.lrs, curve.losses) for curve in everything)
    lowest = min(min(curve.losses) for curve in everything)
    room = HEADROOM * (start - lowest) or 1.0
    axes.set_ylim(lowest - 0.1 * room, start + room)
