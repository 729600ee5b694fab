"""Draw the losses of a trial by epoch, with their under- and overfitted regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrrt.words import score_text
from studies.overfitting import LossCurves, OverfitReport, OverfitVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can distinguish too.
BLUE, VERMILLION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
GREY = "#595959"
LOG_AXIS_RATIO = 100.0  # losses over more than two decades are drawn on a logarithmic axis
NARROW = 0.18  # of the axis; a narrower region has no room for its name
MARKED_EPOCHS = 40  # up to so many epochs, each gets a dot
ALL_IN_A_ROW = 7.0  # inches; from this width on the legend fits in one row


def plot_losses(
    curves: LossCurves,
    report: OverfitReport,
    *,
    title: str = "Loss by epoch",
    verdict: str | None = None,
    size: tuple[float, float] = (8, 5),
) -> Figure:
    """Draw training and validation loss by epoch, mark the best epoch, and shade the epochs before and after it.

    The axis of the losses is logarithmic if they are positive and span more than two decades. Losses that are not
    finite are left out, and a cross at the lower end of the axis marks their epochs.

    Args:
        curves: losses by epoch.
        report: what `check_overfitting` says about the same losses.
        title: heading above the verdict.
        verdict: the text below the title; None for the sentence of the report.
        size: width and height in inches.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    epochs = np.arange(1, len(curves.train) + 1)
    marker = "o" if len(epochs) <= MARKED_EPOCHS else ""
    for label, losses, colour, style in (
        ("training loss", curves.train, BLUE, "--"),
        ("validation loss", curves.validation, VERMILLION, "-"),
    ):
        values = np.where(np.isfinite(losses), losses, np.nan)
        axes.plot(epochs, values, style, color=colour, marker=marker, markersize=3.5, linewidth=1.8, label=label)
    axes.set_xlim(0.5, len(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _scale_losses(axes, curves)
    _mark_broken_epochs(axes, curves)
    _shade_regions(axes, report)
    _mark_best(axes, report)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    verdict = report.verdict.value if verdict is None else verdict
    axes.set_title(title, fontsize=12, loc="left", pad=24 if verdict else 6)
    axes.text(0, 1.02, verdict, transform=axes.transAxes, fontsize=9.5, color=GREY, va="bottom")
    figure.legend(loc="outside lower center", ncols=4 if size[0] >= ALL_IN_A_ROW else 2, frameon=False)
    return figure


def _scale_losses(axes: Axes, curves: LossCurves) -> None:
    losses = np.array([*curves.train, *curves.validation], float)
    losses = losses[np.isfinite(losses)]
    if len(losses) and losses.min() > 0 and losses.max() > LOG_AXIS_RATIO * losses.min():
        axes.set_yscale("log")
    if not len(losses):
        axes.text(0.5, 0.5, "no loss was finite", transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.margins(y=0.16)


def _mark_broken_epochs(axes: Axes, curves: LossCurves) -> None:
    broken = np.flatnonzero(~(np.isfinite(curves.train) & np.isfinite(curves.validation))) + 1
    if len(broken):
        axes.plot(
            broken,
            np.full(len(broken), 0.02),
            "x",
            transform=axes.get_xaxis_transform(),
            color="black",
            clip_on=False,
            label="not finite",
        )


def _shade_regions(axes: Axes, report: OverfitReport) -> None:
    if report.best_epoch is None or report.verdict is OverfitVerdict.TOO_FEW_EPOCHS:
        return
    left, right = axes.get_xlim()
    is_last = report.best_epoch == report.num_epochs
    regions = [(left, right if is_last else report.best_epoch, SKY, "underfit")]
    if not is_last:
        overfitted = report.verdict is OverfitVerdict.OVERFITTED
        regions.append(
            (report.best_epoch, right, ORANGE if overfitted else GREEN, "overfit" if overfitted else "past the best")
        )
    for start, end, colour, label in regions:
        axes.axvspan(start, end, color=colour, alpha=0.13, linewidth=0)
        if end - start > NARROW * (right - left):
            middle, height = (start + end) / 2, axes.get_xaxis_transform()
            axes.text(middle, 0.97, label, transform=height, ha="center", va="top", color=GREY, fontsize=11)


def _mark_best(axes: Axes, report: OverfitReport) -> None:
    if report.best_epoch is None or report.best_val_loss is None:
        return
    axes.axvline(report.best_epoch, color=GREY, linewidth=1, linestyle=":")
    axes.plot(
        [report.best_epoch],
        [report.best_val_loss],
        "*",
        color="black",
        markersize=13,
        linestyle="none",
        label=f"best: epoch {report.best_epoch}, validation loss {score_text(report.best_val_loss)}",
        zorder=5,
    )
