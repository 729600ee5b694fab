"""Run again what the article shows: its range test, its reading of it, its decay schemes, its overfitting."""

from __future__ import annotations

import numpy as np
from laboratory import NUM_EPOCHS, OPTIMIZERS, Laboratory
from matplotlib.figure import Figure
from numpy.typing import NDArray
from page import Section

from lrrt.curve import RangeCurve
from lrrt.plot import COLOURS
from lrrt.smoothing import DELTA_WINDOW, loss_deltas
from studies import check_overfitting, make_schedule, plot_losses, rate_table

DECAYS = {  # the article's four, as it draws them, and Adam's static rate
    "fixed": {},
    "linear": {"decay_fraction": 0.6, "final_fraction": 0.05},
    "step": {"num_drops": 3, "drop_factor": 0.4},
    "exponential": {"final_fraction": 0.05},
    "time": {"final_fraction": 0.1},
}
ARTICLES_ADAM = 10**-3.95
DOTTED = "dotted, from the running mean"
FEW_IMAGES, MANY_EPOCHS = 200, 40


def running_mean(curve: RangeCurve, num_batches: int) -> NDArray[np.float64]:
    """Return what the article's package reads as the loss of a step: the mean since the epoch began."""
    values = np.asarray(curve.losses)
    epochs = [values[start : start + num_batches] for start in range(0, len(values), num_batches)]
    return np.concatenate([np.cumsum(epoch) / np.arange(1, len(epoch) + 1) for epoch in epochs])


def losses(laboratory: Laboratory) -> Section:
    """Draw the losses, as measured and as the article's package reads them."""
    figure = laboratory.tested.plot()
    axes = figure.axes[0]
    for number, optimizer in enumerate(OPTIMIZERS):
        curve = laboratory.tested.curves[optimizer][0]
        read = running_mean(curve, laboratory.num_batches)
        axes.plot(curve.lrs, read, color=COLOURS[number], linewidth=1, alpha=0.6, linestyle=":")
    axes.set_title(f"{axes.get_title()}; {DOTTED}")
    lags = [_decades(laboratory, optimizer) for optimizer in OPTIMIZERS]
    return Section(
        "Loss against rate",
        "The first picture of the article: the loss of SGD and of Adam while the rate climbs from 1e-4 to 1.",
        f"Adam's bounds begin {_lead(laboratory):.1f} decades below those of SGD, and its loss falls further; the "
        f"article's package reads the lowest point {lags[0]:.1f} decades too high for SGD and {lags[1]:.1f} for Adam.",
        "Lines are each step's own loss, smoothed. Dotted lines are what the article's package reads: Keras tells a "
        "callback the mean of the losses since the epoch began, not that of the step. A mean lags behind a falling or "
        f"rising loss, and starts anew at each of the {NUM_EPOCHS} epochs. Shaded: our bounds.",
        pictures={"losses": figure},
    )


def deltas(laboratory: Laboratory) -> Section:
    """Draw the loss deltas, as measured and as the article's package reads them."""
    figure = laboratory.tested.plot_deltas()
    axes = figure.axes[0]
    table = [("optimizer", "steepest, running mean", "steepest, each step's loss")]
    for number, optimizer in enumerate(OPTIMIZERS):
        curve = laboratory.tested.curves[optimizer][0]
        rates = np.asarray(curve.lrs[DELTA_WINDOW:])
        fall = loss_deltas(running_mean(curve, laboratory.num_batches))
        axes.plot(rates, fall, color=COLOURS[number], linewidth=1, alpha=0.6, linestyle=":")
        read = f"{rates[fall.argmin()]:.1e}"
        table.append((optimizer, read, rate_in_words(laboratory.bounds(optimizer).steepest)))
    axes.set_title(f"{axes.get_title()}; {DOTTED}")
    _, read, real = table[-1]
    return Section(
        "Loss delta against rate",
        "The second picture: the change of the loss over the last 20 steps. The article picks its lowest point.",
        f"For {OPTIMIZERS[-1]} the article's way reads {read}; the loss falls fastest at {real}.",
        f"The same curves, as the mean change over {DELTA_WINDOW} steps; dotted, from the running mean. The window "
        "looks back, so that the steepest point of this picture lies above the rate at which the loss falls fastest.",
        table,
        {"deltas": figure},
    )


def choice(laboratory: Laboratory) -> Section:
    """Tell which optimizer the test prefers, and train both to see."""
    table = [("optimizer", "bounds", "suggested", "validation loss of a training there")]
    reached = {}
    for optimizer in OPTIMIZERS:
        bounds = laboratory.bounds(optimizer)
        reached[optimizer] = laboratory.train(optimizer, bounds.suggested).score
        span = f"{bounds.low:.1e} to {bounds.high:.1e}"
        table.append((optimizer, span, f"{bounds.suggested:.1e}", f"{reached[optimizer]:.3f}"))
    worse, best = sorted(reached, key=lambda optimizer: reached[optimizer], reverse=True)
    there = laboratory.train("adam", ARTICLES_ADAM).score
    table.append(("adam", "the article's rate", f"{ARTICLES_ADAM:.1e}", f"{there:.3f}"))
    return Section(
        "Which optimizer, at which rate",
        "The article chooses Adam, clearly, at a rate of about 10^-3.95.",
        f"After {laboratory.epochs} epochs at its suggested rate, {best} reaches {reached[best]:.3f} and {worse} "
        f"{reached[worse]:.3f}; Adam at the article's rate reaches {there:.3f}.",
        f"{'The article is right about the optimizer. ' if best == 'adam' else ''}Its rate for Adam lies "
        f"{np.log10(laboratory.bounds('adam').suggested / ARTICLES_ADAM):.1f} decades below our suggestion for a "
        f"training of {laboratory.epochs * laboratory.num_batches} updates. The article's ramp has 1,200 steps; the "
        "more steps a decade has, the sooner the loss has fallen.",
        table,
    )


def schemes(_: Laboratory) -> Section:
    """Draw the article's four decay schemes."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    steps = 400
    for colour, (name, parameters) in zip(COLOURS, DECAYS.items(), strict=False):
        rates = rate_table(make_schedule(name, 1.0, steps, **parameters), steps)
        axes.plot(np.arange(steps) / steps, rates, color=colour, label=name, linewidth=1.8)
    axes.set_xlabel("part of the training")
    axes.set_ylabel("rate, in parts of its start")
    axes.legend(frameon=False)
    return Section(
        "Four decay schemes",
        "Linear decay ends on a constant rate; step decay has stairs; exponential and time decay are smooth.",
        "All four are families of `studies.FAMILIES`, and draw the shapes that the article says.",
        pictures={"schemes": figure},
    )


def static_rate(laboratory: Laboratory) -> Section:
    """Train Adam with a static rate and with each decay from the same start."""
    lr = laboratory.bounds("adam").suggested
    trained = {name: laboratory.train("adam", lr, name, **values) for name, values in DECAYS.items()}
    static = trained["fixed"].score
    better = [name for name, result in trained.items() if name != "fixed" and result.score < static]
    names = f" ({', '.join(better)})" if better else ""
    table = [("schedule", "best validation loss", "epoch")]
    table += [(name, f"{result.score:.3f}", str(result.best_epoch)) for name, result in trained.items()]
    return Section(
        "Is a static rate suboptimal?",
        "The article holds that a static rate is hardly ever a good idea.",
        f"{len(better)} of {len(DECAYS) - 1} decays of Adam's rate end below the static rate{names}, from the same "
        f"start, {lr:.1e}.",
        f"A training has {laboratory.epochs * laboratory.num_batches} updates here, the article's 1,200, and a decay "
        "makes each of them smaller. What it gives is a quiet end, once there is little left to learn. Which of the "
        "two wins is a question for a study, which searches the schedule beside the rate.",
        table,
    )


def overfitting(laboratory: Laboratory) -> Section:
    """Train for long on a few images, and mark the best epoch."""
    result = laboratory.overfit(FEW_IMAGES, MANY_EPOCHS, laboratory.bounds("adam").suggested)
    report = check_overfitting(result.train_losses, result.val_losses)
    figure = plot_losses(result.curves(), report, title=f"Adam on {FEW_IMAGES} images")
    return Section(
        "Overfitting, and the best epoch",
        "The article shows a validation loss that turns after the 20th epoch while the training loss falls on.",
        f"With {FEW_IMAGES} images and {MANY_EPOCHS} epochs the best is epoch {report.best_epoch}: {report.reason}.",
        pictures={"overfitting": figure},
    )


def _decades(laboratory: Laboratory, optimizer: str) -> float:
    """Return by how many decades the running mean's lowest point lies above that of the losses."""
    curve = laboratory.tested.curves[optimizer][0]
    read = running_mean(curve, laboratory.num_batches)
    return float(np.log10(curve.lrs[int(read.argmin())] / laboratory.bounds(optimizer).lowest))


def _lead(laboratory: Laboratory) -> float:
    """Return by how many decades Adam's bounds begin below those of SGD."""
    return float(np.log10(laboratory.bounds("sgd").low / laboratory.bounds("adam").low))


def rate_in_words(lr: float | None) -> str:
    """Return a rate with two digits."""
    return "-" if lr is None else f"{lr:.1e}"


CLAIMS = (losses, deltas, choice, schemes, static_rate, overfitting)
