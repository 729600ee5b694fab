"""Make tasks of tables: prices with embeddings of classes, and rare faults of a space shuttle."""

from __future__ import annotations

import gzip
import io

import keras
import numpy as np
from more_tasks.installed import in_package, r_table
from more_tasks.task import Array, Recipe, sample, standardized

layers = keras.layers
GRADES = {"cut": 5, "color": 7, "clarity": 8}  # how many there are of each
MEASURES = ("carat", "depth", "table", "x", "y", "z")


def diamond_network() -> keras.Model:
    return embedding_network(list(GRADES.values()), len(MEASURES), units=32)


def embedding_network(num_classes: list[int], num_measures: int, *, units: int) -> keras.Model:
    """Build a network whose inputs are the numbers of classes, then measures; each kind of class is embedded."""
    columns = keras.Input((len(num_classes) + num_measures,))
    parts = [
        layers.Embedding(count, 4)(keras.ops.cast(columns[:, place], "int32"))
        for place, count in enumerate(num_classes)
    ]
    x = layers.Concatenate()([*parts, columns[:, len(num_classes) :]])
    x = layers.Dense(units, "relu")(layers.Dense(units, "relu")(x))
    return keras.Model(columns, layers.Dense(1)(x))


def diamonds() -> tuple[Array, Array]:
    """Return grades and measures of diamonds, and their prices: 326 to 18,823 dollars, not scaled."""
    table = r_table("ggplot2", "diamonds")
    grades = [np.unique(table[name].astype(str), return_inverse=True)[1] for name in GRADES]
    measures = standardized(table[list(MEASURES)].to_numpy(float))
    return sample(np.column_stack([*grades, measures]).astype("float32"), table[["price"]].to_numpy("float32"), 16_000)


def shuttle_network() -> keras.Model:
    return keras.Sequential(
        [layers.Input((9,)), layers.Dense(24, "tanh"), layers.Dense(24, "tanh"), layers.Dense(1, "sigmoid")]
    )


def shuttle() -> tuple[Array, Array]:
    """Return nine readings of a space shuttle, and whether something is wrong, as in 7 % of the rows."""
    text = gzip.decompress(in_package("river", "datasets", "shuttle.csv.gz").read_bytes()).decode()
    rows = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, dtype="float32")
    return sample(standardized(rows[:, :-1]), rows[:, -1:], 16_000)


TASKS = {
    "diamonds_embeddings": Recipe(diamond_network, "mae", 32, 14, diamonds),
    "shuttle_imbalanced": Recipe(shuttle_network, "binary_crossentropy", 32, 16, shuttle),
}
