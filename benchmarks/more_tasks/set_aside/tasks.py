"""List the tasks that are set aside: no rule is fitted to them, and they are looked at once, at the end.

They were chosen by kind, before any was trained: recurrent text, a table with a noisy target, images with BatchNorm,
convolutions over text in classes of very unlike sizes, a network of sines that learns one landscape by heart.
"""

from __future__ import annotations

import io
import sys
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
LETTERS_A_NAME = 24
CATEGORIES = ("Ll", "Lu", "Lo", "Lm", "Mn", "Mc", "Nd", "No", "Nl", "Po", "Sm", "So")
WITHOUT_NAMES_OF_THEIR_OWN = ("CJK", "HANGUL SYLLABLE", "TANGUT", "CUNEIFORM", "EGYPTIAN", "ANATOLIAN")
FREQUENCY = 30.0  # of the first layer's sines (Sitzmann 2020, arXiv:2006.09661, section 3.2)


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


def character_network() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((LETTERS_A_NAME,), dtype="int32"),
            layers.Embedding(28, 12),
            layers.Conv1D(32, 4, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(len(CATEGORIES), "softmax"),
        ]
    )


def characters() -> tuple[Array, Array]:
    """Return the last 24 letters of Unicode's names, and each character's category, of 12: 1 to 50 % have it."""
    rows, categories = [], []
    for character in map(chr, range(sys.maxunicode)):
        name, category = unicodedata.name(character, ""), unicodedata.category(character)
        if name and category in CATEGORIES and not name.startswith(WITHOUT_NAMES_OF_THEIR_OWN):
            letters = [ord(letter) - 64 if "A" <= letter <= "Z" else 27 for letter in name[-LETTERS_A_NAME:]]
            rows.append([0] * (LETTERS_A_NAME - len(letters)) + letters)
            categories.append(CATEGORIES.index(category))
    return sample(np.array(rows, "int32"), np.array(categories, "int32"), 12_000)


def sine_network() -> keras.Model:
    """Build a network whose activations are sines, with the initial weights that its authors give."""
    x = place = keras.Input((2,))
    for units, spread in ((48, 1 / 2), (48, 6**0.5 / 48**0.5 / FREQUENCY)):
        initial = keras.initializers.RandomUniform(-spread, spread)
        x = keras.ops.sin(FREQUENCY * layers.Dense(units, kernel_initializer=initial)(x))
    return keras.Model(place, layers.Dense(1)(x))


def landscape() -> tuple[Array, Array]:
    """Return places on a map, in -1..1, and how high each lies, standardized: the whole of it is one landscape."""
    from matplotlib import cbook

    heights = cbook.get_sample_data("jacksboro_fault_dem.npz")["elevation"].astype(float)
    rows, columns = (np.linspace(-1, 1, count) for count in heights.shape)
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2).astype("float32")
    return sample(places, standardized(heights.reshape(-1, 1)), 16_000)


TASKS = {
    "words_gru": Recipe(word_gru, "sparse_categorical_crossentropy", 32, 8, words),
    "flights_embeddings": Recipe(flight_network, "mse", 32, 14, flights),
    "emoji_u_net_bn": Recipe(colouring_u_net, "mse", 16, 6, emoji),
    "characters_conv": Recipe(character_network, "sparse_categorical_crossentropy", 32, 4, characters),
    "landscape_sines": Recipe(sine_network, "mse", 64, 6, landscape),
}
NAMES = tuple(TASKS)
load = loader(TASKS)
