"""A table with text and missing values: who survived the Titanic; each column is an input of its own.

The table ships with scikit-learn, among the data of its tests.

lrrt init --example titanic && lrrt run titanic.toml
"""

from __future__ import annotations

import csv
import gzip
import random
from functools import cache
from pathlib import Path

import keras
import numpy as np
import sklearn.datasets
from keras import layers

TABLE = Path(sklearn.datasets.__file__).parent / "tests/data/openml/id_40945/data-v1-dl-16826755.arff.gz"
TEXTS = ("sex", "embarked", "cabin")
NUMBERS = ("age", "fare", "sibsp", "parch", "pclass")
COLUMNS = ("pclass", "survived", "name", "sex", "age", "sibsp", "parch", "ticket", "fare", "cabin", "embarked")
MISSING = "?"  # in this format
SEED = 0


def build_model() -> keras.Model:
    """Build and compile a model with an input for each column, as the table has it."""
    columns, _ = load_data()
    inputs = {name: keras.Input((1,), name=name, dtype="string" if name in TEXTS else "float32") for name in columns}
    parts = [
        layers.StringLookup(vocabulary=sorted(set(columns[name])), output_mode="one_hot")(inputs[name])
        for name in TEXTS
    ]
    for name in (*NUMBERS, "age_is_known"):
        values = columns[name]
        parts.append(layers.Normalization(mean=values.mean(), variance=values.var())(inputs[name]))
    x = layers.Dense(32, activation="relu")(layers.Concatenate()(parts))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.3)(x)))
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


@cache
def load_data() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the columns by name and who survived, 0 or 1; lrrt holds some out for validation.

    Numbers must be finite: where one is missing, the median stands, and for the age a column says so.
    """
    lines = gzip.decompress(TABLE.read_bytes()).decode().splitlines()
    rows = list(csv.reader(lines[lines.index("@data") + 1 :]))
    random.Random(SEED).shuffle(rows)  # they are sorted by class and name, which means nothing here
    table = {name: np.array(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=False)}
    texts = {name: table[name] for name in TEXTS}
    texts["cabin"] = np.array([cabin[0] for cabin in texts["cabin"]])  # the deck
    numbers = {name: filled(table[name]) for name in NUMBERS}
    is_known = (table["age"] != MISSING).astype("float32")
    return texts | numbers | {"age_is_known": is_known}, table["survived"].astype("float32")


def filled(column: np.ndarray) -> np.ndarray:
    """Return numbers, with the median of those that are there for those that are missing."""
    is_known = column != MISSING
    return np.where(
        is_known, np.where(is_known, column, "0").astype("float32"), np.median(column[is_known].astype("float32"))
    )
