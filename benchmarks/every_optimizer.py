"""Score the bounds of every optimizer of Keras on three small tasks against trainings at a grid of constant rates.

    python benchmarks/every_optimizer.py [--tasks digits_mlp diabetes_raw names_text] [--optimizers ftrl adadelta]

Bounds are judged as in `bounds_quality.py`: they hold where a rate inside them comes within 5 % of the scale of the
best one, or where there is no answer. `digits_mlp` classifies scikit-learn's digits, `diabetes_raw` predicts its
diabetes scores, a noisy target that is not scaled. `names_text` tells from the letters of a character's Unicode name
which category it has, of classes of very unlike sizes; its gradients are sparse.
"""

from __future__ import annotations

import argparse
import math
import sys
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import sklearn.datasets
from make_oracle import best_of_training
from numpy.typing import NDArray
from tables import Cell, Table, show
from truths import Answer, Truth

from lrrt import Loops, Ramp, run_range_test

Arrays = tuple[NDArray[Any], NDArray[Any]]

RATES = np.geomspace(1e-5, 100, 15)
EPOCHS, BATCH_SIZE, VALIDATION = 12, 32, 0.25
NUM_CHARACTERS, NUM_LETTERS = 0x3000, 20
OPTIMIZERS = ("sgd", "adam", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "adamw", "ftrl", "lion", "lamb")
OPTIMIZERS += ("adafactor", "muon", "schedulefreeadamw")


def digits_mlp() -> tuple[Arrays, Callable[[], keras.Model]]:
    """Return scikit-learn's digits, and a network of one hidden layer."""
    data = sklearn.datasets.load_digits()
    return ((data.data / 16).astype("float32"), data.target), lambda: _network(
        64, 10, "softmax", "sparse_categorical_crossentropy"
    )


def diabetes_raw() -> tuple[Arrays, Callable[[], keras.Model]]:
    """Return scikit-learn's diabetes, standardized inputs and raw targets, and a network of one hidden layer."""
    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    return (((x - x.mean(0)) / x.std(0)).astype("float32"), y.astype("float32")), lambda: _network(10, 1, None, "mse")


def names_text() -> tuple[Arrays, Callable[[], keras.Model]]:
    """Return the last letters of 2,000 characters' names as numbers, their categories, and a network of text."""
    named = [character for character in map(chr, range(NUM_CHARACTERS)) if unicodedata.name(character, "")]
    chosen = np.random.default_rng(0).choice(named, 2_000, replace=False)
    ends = [unicodedata.name(character)[-NUM_LETTERS:].rjust(NUM_LETTERS) for character in chosen]
    x = np.array([[ord(letter) - ord(" ") for letter in end] for end in ends], "int32")
    kinds, y = np.unique([unicodedata.category(character) for character in chosen], return_inverse=True)

    def build_model() -> keras.Model:
        layers = keras.layers
        embedded = [layers.Embedding(96, 16), layers.Conv1D(32, 3, activation="relu"), layers.GlobalMaxPooling1D()]
        model = keras.Sequential([layers.Input((NUM_LETTERS,)), *embedded, layers.Dense(len(kinds), "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    return (x, y.astype("int32")), build_model


TASKS = {"digits_mlp": digits_mlp, "diabetes_raw": diabetes_raw, "names_text": names_text}


def main() -> None:
    """Test, train, and print a row for each case."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=list(OPTIMIZERS))
    options = parser.parse_args()
    rows = [row for name in options.tasks for row in score_task(name, options.optimizers)]
    heads = ("", "optimizer", "", "low", "high", "suggested", "best of the grid", "regret", "verdict")
    show(Table("Bounds of each optimizer, against trainings at a grid of rates", heads, tuple(rows)))


def score_task(name: str, optimizers: list[str]) -> Iterator[tuple[Cell, ...]]:
    """Yield what the range test says of each optimizer on a task, and how good its rates are."""
    (x, y), build_model = TASKS[name]()
    order = np.random.default_rng(7).permutation(len(x))
    train, held_out = np.split(order, [int(len(x) * (1 - VALIDATION))])
    loops = Loops(
        build_model,
        (x[train], y[train]),
        optimizers=optimizers,
        batch_size=BATCH_SIZE,
        validation_data=(x[held_out], y[held_out]),
    )
    for label in optimizers:
        result = run_range_test(loops, Ramp(), optimizers=[label], training_epochs=EPOCHS)
        bounds, truth = result.bounds[label], truth_of(loops, label)
        score = truth.score(Answer(bounds.low, bounds.high, bounds.suggested))
        holds = "no answer" if bounds.low is None else "holds" if score.covers[0] else "WRONG"
        rates = [None if rate is None else f"{rate:.1e}" for rate in (bounds.low, bounds.high, bounds.suggested)]
        yield (name, label, holds, *rates, f"{truth.best:.1e}", score.regret, bounds.verdict.name)
        print(f"{name} {label}: {holds}", file=sys.stderr, flush=True)
        loops.drop(label)


def truth_of(loops: Loops, label: str) -> Truth:
    """Train at each rate; after two in a row that do not improve, higher ones count as diverged."""
    loop = loops.get(label)
    loop.restart(loops.initial_weights(0))
    start, values = loop.validate(), []
    for rate in RATES:
        improves = [value < start for value in values]
        if any(improves) and not any(improves[-2:]):
            values.append(start)
        else:
            reached = best_of_training(loops, label, float(rate), EPOCHS, seed=0)
            values.append(start if reached is None or not math.isfinite(reached) else min(reached, start))
    return Truth(RATES, np.array(values), start)


def _network(num_inputs: int, num_outputs: int, activation: str | None, loss: str) -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((num_inputs,)), layers.Dense(64, "relu"), layers.Dense(num_outputs, activation)]
    )
    model.compile("sgd", loss)
    return model


if __name__ == "__main__":
    main()
