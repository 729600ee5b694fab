"""Answer the open questions of the article and of its readers with trainings of our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from claims import rate_in_words
from laboratory import END_LR, OPTIMIZERS, START_LR, Laboratory
from page import Section

import lrrt

SPEEDS = (0.5, 0.05, 0.005)  # of the start, at the end
BATCH_SIZES = (50, 250, 1000)
ADAMS_OWN = 1e-3
DEFAULT, OURS = "Keras's default", "lrrt's suggestion"


def start_and_speed(laboratory: Laboratory) -> Section:
    """Train with exponential decay from three starts at three speeds."""
    bounds = laboratory.bounds("adam")
    starts = (bounds.low, bounds.suggested, bounds.high)
    scores = np.array(
        [[_score(laboratory, "adam", lr, "exponential", final_fraction=end) for end in SPEEDS] for lr in starts]
    )
    row, column = np.unravel_index(int(scores.argmin()), scores.shape)
    table = [("start", *(f"ends at {end:g} of it" for end in SPEEDS))]
    table += [(f"{lr:.1e}", *map("{:.3f}".format, values)) for lr, values in zip(starts, scores, strict=True)]
    by_start, by_speed = np.ptp(scores.min(axis=1)), np.ptp(scores.min(axis=0))
    return Section(
        "Which start rate, and how fast a decay?",
        "Asked in the article: where does a decay start, and how fast is it?",
        f"Best validation losses, Adam, exponential decay. Best is a start of {starts[row]:.1e} that ends at "
        f"{SPEEDS[column]:g} of it. The start decides by {by_start:.3f}, the speed by {by_speed:.3f}: "
        f"the {'start' if by_start > by_speed else 'speed'} matters more here.",
        table,
    )


def batch_sizes(laboratory: Laboratory) -> Section:
    """Test three batch sizes, and train each at its own suggestion."""
    tested = laboratory.range_test(optimizers=["sgd"], batch_sizes=BATCH_SIZES)
    table = [("batch size", "bounds", "suggested", "validation loss there")]
    for size in BATCH_SIZES:
        bounds = tested.bounds_for("sgd", size)
        score = (
            "-" if bounds.suggested is None else f"{_score(laboratory, 'sgd', bounds.suggested, batch_size=size):.3f}"
        )
        table.append((str(size), _span(bounds), rate_in_words(bounds.suggested), score))
    return Section(
        "Another batch size?",
        "Asked in the article: are results better with another batch size, and which start rate does it need?",
        f"SGD, a range test for each, then {laboratory.epochs} epochs: small batches make more updates in an epoch.",
        table,
    )


def architectures(laboratory: Laboratory) -> Section:
    """Test other networks on the same images."""
    table = [("network", "bounds of SGD", "bounds of Adam")]
    for name, build_model in _networks():
        tested = laboratory.range_test(build_model, optimizers=OPTIMIZERS)
        table.append((name, *(_span(tested.bounds[optimizer]) for optimizer in OPTIMIZERS)))
    table.insert(1, ("the article's", *(_span(laboratory.bounds(optimizer)) for optimizer in OPTIMIZERS)))
    return Section(
        "Another architecture?",
        "Asked in the article: what if the network changes?",
        "A range test of some seconds says it for each network, before anything is trained in full.",
        table,
    )


def monitors(laboratory: Laboratory) -> Section:
    """Watch the validation loss and the accuracy in place of the training loss."""
    table = [("monitor", *(f"suggested for {optimizer}" for optimizer in OPTIMIZERS))]
    pictures = {}
    table.append(
        ("training loss", *(rate_in_words(laboratory.bounds(optimizer).suggested) for optimizer in OPTIMIZERS))
    )
    for monitor in ("val_loss", "accuracy"):
        tested = laboratory.range_test(optimizers=OPTIMIZERS, monitor=monitor)
        table.append((monitor, *(rate_in_words(tested.bounds[optimizer].suggested) for optimizer in OPTIMIZERS)))
        pictures[f"monitor_{monitor}"] = tested.plot()
    return Section(
        "Validation loss or accuracy as the monitor?",
        "A reader asks why the training loss is watched. Smith (2018) speaks of the validation loss, Smith (2015) of "
        "the accuracy.",
        "The loss of a batch that is seen for the first time is as good as a validation loss, and costs nothing. All "
        "three can be watched; what they suggest:",
        table,
        pictures,
    )


def readings(laboratory: Laboratory) -> Section:
    """Train at the steepest point, at the lowest, between them, and at our suggestion."""
    table = [("optimizer", "reading", "rate", "validation loss")]
    best = {}
    for optimizer in OPTIMIZERS:
        bounds = laboratory.bounds(optimizer)
        rates = {"steepest": bounds.steepest, "lowest": bounds.lowest, "lowest / 10": bounds.lowest / 10}
        rates["between the two"] = float(np.sqrt(bounds.steepest * bounds.lowest))
        rates[OURS] = bounds.suggested
        scores = {name: _score(laboratory, optimizer, lr) for name, lr in rates.items()}
        best[optimizer] = min(scores, key=lambda name: scores[name])
        table += [(optimizer, name, f"{rates[name]:.1e}", f"{scores[name]:.3f}") for name in rates]
    return Section(
        "The steepest point, the lowest, or one between?",
        "A reader asks why the article does not take the lowest point; its author would try a point in between.",
        f"A static rate for {laboratory.epochs} epochs each. Best: "
        + ", ".join(f"{name} for {optimizer}" for optimizer, name in best.items())
        + ". One training a rate: differences of a few percent are chance.",
        table,
    )


def adam(laboratory: Laboratory) -> Section:
    """Train Adam at rates far apart, its default among them."""
    suggested = laboratory.bounds("adam").suggested
    rates = {DEFAULT: ADAMS_OWN, "the test's start": START_LR, OURS: suggested}
    rates["a tenth of the test's end"] = END_LR / 10
    scores = {name: _score(laboratory, "adam", lr) for name, lr in rates.items()}
    spread = max(scores.values()) / min(scores.values())
    return Section(
        "Does Adam need it at all?",
        "A reader asks why a rate is searched for Adam, which adapts its rates itself.",
        "It adapts the steps of weights to each other, not their common size: between these rates its validation loss "
        f"differs {spread:.0f} times. The default of Keras ends at {scores[DEFAULT]:.3f}, our suggestion at "
        f"{scores[OURS]:.3f}.",
        [("rate", "", "validation loss"), *((f"{rates[name]:.1e}", name, f"{scores[name]:.3f}") for name in rates)],
    )


def _networks() -> Sequence[tuple[str, Callable[[], keras.Model]]]:
    layers = keras.layers

    def dense() -> keras.Model:
        return _compiled([layers.Flatten(), layers.Dense(256, "relu"), layers.Dense(128, "relu")])

    def narrow() -> keras.Model:
        return _compiled([layers.Conv2D(8, 3, 2, activation="relu"), layers.Conv2D(16, 3, 2), layers.Flatten()])

    return ("dense layers alone", dense), ("two narrow convolutions", narrow)


def _compiled(inner: Sequence[keras.Layer]) -> keras.Model:
    model = keras.Sequential([keras.layers.Input((28, 28, 1)), *inner, keras.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _score(laboratory: Laboratory, optimizer: str, lr: float, schedule: str = "fixed", **options: float) -> float:
    """Return the best validation loss of a training; infinite if none was finite."""
    score = laboratory.train(optimizer, lr, schedule, **options).score
    return float("inf") if score is None else score


def _span(bounds: lrrt.Bounds) -> str:
    return "none" if bounds.low is None else f"{bounds.low:.1e} to {bounds.high:.1e}"


QUESTIONS = (start_and_speed, batch_sizes, architectures, monitors, readings, adam)
