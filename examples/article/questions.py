"""Answer the open questions of the article and of its readers with trainings of our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from claims import ARTICLES_ADAM, rate_in_words
from laboratory import END_LR, OPTIMIZERS, Laboratory, build_convnet
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
        f"Best is a start of {starts[row]:.1e} that ends at {SPEEDS[column]:g} of it, with {scores.min():.3f}; the "
        f"worst of the nine has {scores.max():.3f}.",
        f"Best validation losses, Adam, exponential decay, {laboratory.epochs} epochs, from the low end of the bounds, "
        f"from the suggested rate and from the high end. With the best speed for each, the start decides by "
        f"{by_start:.3f}; with the best start for each, the speed by {by_speed:.3f}.",
        table,
    )


def batch_sizes(laboratory: Laboratory) -> Section:
    """Test three batch sizes, and train each at its own suggestion."""
    tested = laboratory.range_test(optimizers=["sgd"], batch_sizes=BATCH_SIZES)
    table = [("batch size", "updates", "bounds", "suggested", "validation loss there")]
    rates, scores = {}, {}
    for size in BATCH_SIZES:
        bounds = tested.bounds_for("sgd", size)
        updates = laboratory.epochs * -(-len(laboratory.images.train[0]) // size)
        if bounds.suggested is not None:
            rates[size] = bounds.suggested
            scores[size] = _score(laboratory, "sgd", bounds.suggested, batch_size=size)
        reached = f"{scores[size]:.3f}" if size in scores else "-"
        table.append((str(size), str(updates), _span(bounds), rate_in_words(bounds.suggested), reached))
    best = min(scores, key=lambda size: scores[size])
    return Section(
        "Another batch size?",
        "Asked in the article: are results better with another batch size, and which start rate does it need?",
        f"Yes: batches of {best} end at {scores[best]:.3f}, those of {max(scores, key=lambda size: scores[size])} at "
        f"{max(scores.values()):.3f}; the suggested rates differ by a factor of "
        f"{max(rates.values()) / min(rates.values()):.1f}.",
        f"SGD, a range test for each, then {laboratory.epochs} epochs: what small batches win here is updates. Each "
        "range test has as many steps as that of batches of 250.",
        table,
    )


def architectures(laboratory: Laboratory) -> Section:
    """Test other networks on the same images."""
    table = [("network", "bounds of SGD", "bounds of Adam")]
    lowest = []
    for name, build_model in _networks():
        bounds = laboratory.range_test(build_model, optimizers=OPTIMIZERS).bounds
        table.append((name, *(_span(bounds[optimizer]) for optimizer in OPTIMIZERS)))
        lowest.append(bounds["adam"].low)
    return Section(
        "Another architecture?",
        "Asked in the article: what if the network changes?",
        f"Test again: the bounds of Adam begin at rates from {min(lowest):.1e} to {max(lowest):.1e} in three networks.",
        "A range test of some seconds says it for each network, before anything is trained in full.",
        table,
    )


def monitors(laboratory: Laboratory) -> Section:
    """Watch the validation loss and the accuracy in place of the training loss."""
    tests = {"training loss": laboratory.tested}
    tests |= {name: laboratory.range_test(optimizers=OPTIMIZERS, monitor=name) for name in ("val_loss", "accuracy")}
    rates = {name: [test.bounds[optimizer].suggested for optimizer in OPTIMIZERS] for name, test in tests.items()}
    pictures = {f"monitor_{name}": tests[name].plot() for name in ("val_loss", "accuracy")}
    table = [("monitor", *(f"suggested for {optimizer}" for optimizer in OPTIMIZERS))]
    table += [(name, *map(rate_in_words, row)) for name, row in rates.items()]
    factors = [max(column) / min(column) for column in zip(*rates.values(), strict=True) if None not in column]
    return Section(
        "Validation loss or accuracy as the monitor?",
        "A reader asks why the training loss is watched. Smith (2018) speaks of the validation loss, Smith (2015) of "
        "the accuracy.",
        f"It makes little difference: the three suggest rates that differ by a factor of {max(factors):.1f} at most.",
        "A validation loss costs an evaluation at each point, so that it is taken at fewer of them. The loss of a "
        "batch that is seen for the first time tells nearly the same, and costs nothing. In the pictures the training "
        "loss is the faint line.",
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
        name = min(scores, key=lambda name: scores[name])
        best[optimizer] = f"{name} for {optimizer}, {scores[name]:.3f}, where {OURS} has {scores[OURS]:.3f}"
        table += [(optimizer, name, f"{rates[name]:.1e}", f"{scores[name]:.3f}") for name in rates]
    return Section(
        "The steepest point, the lowest, or one between?",
        "A reader asks why the article does not take the lowest point; its author would try a point in between.",
        f"Best: {'; '.join(best.values())}.",
        f"A static rate for {laboratory.epochs} epochs each; between the two is their geometric mean. One training a "
        "rate: differences of a few percent are chance.",
        table,
    )


def adam(laboratory: Laboratory) -> Section:
    """Train Adam at rates far apart, its default among them."""
    suggested = laboratory.bounds("adam").suggested
    rates = {"the article's": ARTICLES_ADAM, DEFAULT: ADAMS_OWN, OURS: suggested}
    rates["a tenth of the test's end"] = END_LR / 10
    scores = {name: _score(laboratory, "adam", lr) for name, lr in rates.items()}
    spread = max(scores.values()) / min(scores.values())
    return Section(
        "Does Adam need it at all?",
        "A reader asks why a rate is searched for Adam, which adapts its rates itself.",
        f"Yes: Keras's default ends at {scores[DEFAULT]:.3f}, our suggestion at {scores[OURS]:.3f}, and among the four "
        f"rates below the validation loss differs by a factor of {spread:.0f}.",
        "Adam adapts the steps of weights to each other, not their common size.",
        [("rate", "", "validation loss"), *((f"{rates[name]:.1e}", name, f"{scores[name]:.3f}") for name in rates)],
    )


def _networks() -> Sequence[tuple[str, Callable[[], keras.Model]]]:
    layers = keras.layers

    def dense() -> keras.Model:
        return _compiled([layers.Flatten(), layers.Dense(256, "relu"), layers.Dense(128, "relu")])

    def narrow() -> keras.Model:
        return _compiled([layers.Conv2D(8, 3, 2, activation="relu"), layers.Conv2D(16, 3, 2), layers.Flatten()])

    return ("the article's", build_convnet), ("dense layers alone", dense), ("two narrow convolutions", narrow)


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
