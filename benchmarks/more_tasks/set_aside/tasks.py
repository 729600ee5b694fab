"""List the tasks that are set aside: no rule is fitted to them, and they are looked at once, at the end.

They were chosen by kind, before any was trained: recurrent text, a table with a noisy target, images with BatchNorm.
"""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import keras
import numpy as np
from more_tasks.installed import existing, r_table
from more_tasks.tables import embedding_network
from more_tasks.task import OPTIMIZERS, Array, Recipe, loader, sample, standardized

__all__ = ["NAMES", "OPTIMIZERS", "load"]

layers = keras.layers
LANGUAGES = ("american-english", "dutch", "french", "ngerman")
LETTERS_A_WORD = 10
FLIGHT_CLASSES = {"carrier": 16, "origin": 3, "dest": 105, "month": 12}  # how many there are of each
FLIGHT_MEASURES = ("hour", "distance")
EMOJI_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
EMOJI_SIZE, NUM_EMOJI = 16, 1_600


def word_gru() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((LETTERS_A_WORD,), dtype="int32"),
            layers.Embedding(27, 16),
            layers.GRU(24, unroll=True),
            layers.Dense(len(LANGUAGES), "softmax"),
        ]
    )


def words() -> tuple[Array, Array]:
    """Return words of 4 to 10 letters without their accents, padded in front, and which of four languages has them."""
    rows, languages, rng = [], [], np.random.default_rng(0)
    for language, name in enumerate(LANGUAGES):
        text = existing(Path("/usr/share/dict") / name).read_text("utf-8")
        plain = {plain_letters(word) for word in text.split() if 4 <= len(word) <= LETTERS_A_WORD and word.isalpha()}
        usable = sorted(word for word in plain if word.isascii() and len(word) <= LETTERS_A_WORD)
        for word in rng.choice(usable, 2_000, replace=False):
            rows.append([0] * (LETTERS_A_WORD - len(word)) + [ord(letter) - 96 for letter in word])
            languages.append(language)
    return np.array(rows, "int32"), np.array(languages, "int32")


def plain_letters(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", word.lower()) if letter.isalpha())


def flight_network() -> keras.Model:
    return embedding_network(list(FLIGHT_CLASSES.values()), len(FLIGHT_MEASURES), units=24)


def flights() -> tuple[Array, Array]:
    """Return flights from New York, and how many minutes late each arrived: mostly noise, and not scaled."""
    table = r_table("nycflights13", "flights").dropna(subset=["arr_delay"])
    classes = [np.unique(table[name].astype(str), return_inverse=True)[1] for name in FLIGHT_CLASSES]
    measures = standardized(table[list(FLIGHT_MEASURES)].to_numpy(float))
    x = np.column_stack([*classes, measures]).astype("float32")
    return sample(x, table[["arr_delay"]].to_numpy("float32"), 16_000)


def colouring_u_net() -> keras.Model:
    """Build a U-Net of two levels that gives a grey picture its colours."""
    grey = keras.Input((EMOJI_SIZE, EMOJI_SIZE, 1))
    fine = conv_block(grey, 4)
    coarse = conv_block(conv_block(layers.MaxPooling2D()(fine), 8), 8)
    joined = layers.Concatenate()([fine, layers.UpSampling2D()(coarse)])
    return keras.Model(grey, layers.Conv2D(3, 1, activation="sigmoid")(conv_block(joined, 4)))


def conv_block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def emoji() -> tuple[Array, Array]:
    """Return pictures of a colour font on white, shape (n, 16, 16, 3) in 0..1, as grey ones and as they are."""
    from fontTools.ttLib import TTFont
    from PIL import Image

    pictures = []
    for strike in TTFont(existing(EMOJI_FONT))["CBDT"].strikeData:
        for name in sorted(strike)[:: max(1, len(strike) // NUM_EMOJI)]:
            picture = Image.open(io.BytesIO(strike[name].imageData)).convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            small = Image.alpha_composite(white, picture).convert("RGB").resize((EMOJI_SIZE, EMOJI_SIZE))
            pictures.append(np.asarray(small, "float32") / 255)
    colours = np.array(pictures[:NUM_EMOJI])
    return colours.mean(-1, keepdims=True), colours


TASKS = {
    "words_gru": Recipe(word_gru, "sparse_categorical_crossentropy", 32, 8, words),
    "flights_embeddings": Recipe(flight_network, "mse", 32, 14, flights),
    "emoji_u_net_bn": Recipe(colouring_u_net, "mse", 16, 6, emoji),
}
NAMES = tuple(TASKS)
load = loader(TASKS)
