"""Texts: tell which package of Python's standard library a docstring is from; the model's first layer reads text.

lrrt init --example texts && lrrt run texts.toml
"""

from __future__ import annotations

import ast
import sysconfig
from functools import cache
from pathlib import Path

import keras
import numpy as np
from keras import layers

PACKAGES = ("asyncio", "email", "logging", "unittest")
NUM_WORDS, WORDS_A_TEXT = 2_000, 40
WITH_DOCSTRINGS = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef


def build_model() -> keras.Model:
    """Build and compile a model whose input is text: its vocabulary is inside, so that it can be served."""
    text = keras.Input((), dtype="string")
    words = layers.TextVectorization(NUM_WORDS, output_sequence_length=WORDS_A_TEXT, vocabulary=vocabulary())(text)
    x = layers.Embedding(NUM_WORDS, 32)(words)
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(text, layers.Dense(len(PACKAGES), activation="softmax")(x))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


Texts = tuple[list[str], np.ndarray]


def load_data() -> tuple[Texts, Texts]:
    """Return docstrings and the number of each one's package, and the same for a test, as `keras.datasets` do.

    lrrt holds some of the first out for validation.
    """
    found = [(text, number) for number, package in enumerate(PACKAGES) for text in docstrings(package)]
    test = found[::5]
    train = [pair for index, pair in enumerate(found) if index % 5]
    first, second = (([text for text, _ in part], np.array([number for _, number in part])) for part in (train, test))
    return first, second


@cache
def vocabulary() -> list[str]:
    """Return the words of the training texts, the most frequent first."""
    layer = layers.TextVectorization(NUM_WORDS)
    layer.adapt(np.array(load_data()[0][0]))
    return layer.get_vocabulary()[2:]  # without those of padding and of unknown words


@cache
def docstrings(package: str) -> list[str]:
    """Return the docstrings of a package's classes and functions."""
    files = sorted((Path(sysconfig.get_paths()["stdlib"]) / package).glob("*.py"))
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_bytes()))]
    return [text for node in nodes if isinstance(node, WITH_DOCSTRINGS) and (text := ast.get_docstring(node))]
