"""Make tasks of series: spoken vowels, shapes, the weather, voices and melodies."""

from __future__ import annotations

import wave
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import keras
import numpy as np
from more_tasks.installed import existing, in_package, r_table
from more_tasks.task import Array, Recipe, sample, standardized

layers = keras.layers
VOWEL_STEPS, VOWEL_COEFFICIENTS, NUM_SPEAKERS = 29, 12, 9
WEATHER_HOURS, HOURS_AHEAD = 5, 3
WEATHER = ("temp", "dewp", "humid", "wind_speed", "visib", "precip")
VOICES = ("en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU")
FRAME, NUM_FRAMES, NUM_BANDS = 256, 24, 32  # samples a frame, at 8,000 a second
NOTES, LOWEST_NOTE, NUM_NOTES = 8, 55, 30  # a melody lies between the G below middle C and two octaves above it


def vowel_lstm() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((VOWEL_STEPS, VOWEL_COEFFICIENTS)),
            layers.LSTM(24, unroll=True),
            layers.Dense(NUM_SPEAKERS, "softmax"),
        ]
    )


def vowels() -> tuple[Array, Array]:
    """Return how men say two vowels, with zeros before the shorter ones, and who speaks; 640 series."""
    folder, rows, speakers = in_package("aeon", "datasets", "data", "JapaneseVowels"), [], []
    for part in ("TRAIN", "TEST"):
        for line in (folder / f"JapaneseVowels_{part}.ts").read_text("utf-8").splitlines():
            if line and line[0] not in "#@":
                *dimensions, speaker = line.split(":")
                series = np.array([dimension.split(",") for dimension in dimensions], float).T
                rows.append(np.pad(series, ((VOWEL_STEPS - len(series), 0), (0, 0))))
                speakers.append(int(speaker) - 1)
    return np.array(rows, "float32"), np.array(speakers, "int32")


def shape_network() -> keras.Model:
    blocks = [
        make
        for filters in (12, 24)
        for make in (
            layers.Conv1D(filters, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        )
    ]
    return keras.Sequential([layers.Input((40, 1)), *blocks, layers.Flatten(), layers.Dense(10, "softmax")])


def shapes() -> tuple[Array, Array]:
    """Return MNIST-1D: 5,000 distorted curves of 40 points, and the digit that each was made from."""
    from mnist1d.data import get_dataset_args, make_dataset

    data = make_dataset(get_dataset_args())
    x, y = (np.concatenate([data[name], data[f"{name}_test"]]) for name in ("x", "y"))
    return x[..., None].astype("float32"), y.astype("int32")


def weather_gru() -> keras.Model:
    return keras.Sequential([layers.Input((WEATHER_HOURS, len(WEATHER))), layers.GRU(16, unroll=True), layers.Dense(1)])


def weather() -> tuple[Array, Array]:
    """Return five hours of weather at New York's airports, and how much warmer it is three hours later, scaled."""
    windows, changes = [], []
    for _, rows in r_table("nycflights13", "weather").sort_values("time_hour").groupby("origin"):
        readings = rows[list(WEATHER)].interpolate(limit_direction="both").to_numpy(float)
        starts = np.arange(len(readings) - WEATHER_HOURS - HOURS_AHEAD + 1)
        windows.append(standardized(readings)[starts[:, None] + np.arange(WEATHER_HOURS)])
        last = starts + WEATHER_HOURS - 1
        changes.append(readings[last + HOURS_AHEAD, :1] - readings[last, :1])
    return sample(np.concatenate(windows), standardized(np.concatenate(changes)), 16_000)


def voice_network() -> keras.Model:
    x = bands = keras.Input((NUM_FRAMES, NUM_BANDS))
    for filters in (24, 24):
        x = layers.LayerNormalization()(layers.Conv1D(filters, 3, strides=2, padding="same", activation="relu")(x))
    return keras.Model(bands, layers.Dense(len(VOICES), "softmax")(layers.GlobalAveragePooling1D()(x)))


def voices() -> tuple[Array, Array]:
    """Return spectra of the loudest .8 s of telephone announcements, and in which of five languages they are."""
    spectra, languages = [], []
    for language, voice in enumerate(VOICES):
        for path in sorted(existing(Path("/usr/share/asterisk/sounds") / voice).rglob("*.wav")):
            if (frames := loudest_frames(path)) is not None:
                spectra.append(np.log(1 + np.abs(np.fft.rfft(frames * np.hanning(FRAME)))[:, 1:97]))
                languages.append(language)
    bands = np.array(spectra, "float32").reshape(-1, NUM_FRAMES, NUM_BANDS, 3).mean(-1)
    return bands - bands.mean(), np.array(languages, "int32")


def loudest_frames(path: Path) -> Array | None:
    """Return the loudest frames that follow each other, None if the recording is shorter."""
    with wave.open(str(path)) as recording:
        samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2") / 2**10
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    if len(frames) < NUM_FRAMES:
        return None
    loudness = np.convolve(np.square(frames).sum(1), np.ones(NUM_FRAMES), "valid")
    return frames[loudness.argmax() :][:NUM_FRAMES]


def melody_lstm() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((NOTES,), dtype="int32"),
            layers.Embedding(NUM_NOTES, 16),
            layers.LSTM(24, unroll=True),
            layers.Dense(NUM_NOTES, "softmax"),
        ]
    )


def melodies() -> tuple[Array, Array]:
    """Return eight notes of the melody of Bach's chorales, and the next one."""
    windows = []
    for path in sorted(in_package("music21", "corpus", "bach").glob("bwv*.mxl")):
        notes = np.array(melody(path), "int32") - LOWEST_NOTE
        if len(notes) > NOTES and notes.min() >= 0 and notes.max() < NUM_NOTES:
            windows.append(notes[np.arange(len(notes) - NOTES)[:, None] + np.arange(NOTES + 1)])
    rows = np.concatenate(windows)
    return sample(rows[:, :-1], rows[:, -1], 6_000)


def melody(path: Path) -> list[int]:
    """Return the pitches of the first part of a compressed MusicXML file, in half tones."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("xml") and "META-INF" not in name)
        part = ElementTree.fromstring(archive.read(name)).find("part")
    steps = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
    return [
        12 * (int(pitch.findtext("octave", "4")) + 1)
        + steps[pitch.findtext("step", "C")]
        + int(float(pitch.findtext("alter", "0")))
        for pitch in ([] if part is None else part.iter("pitch"))
    ]


TASKS = {
    "vowels_lstm": Recipe(vowel_lstm, "sparse_categorical_crossentropy", 16, 12, vowels),
    "shapes_conv_bn": Recipe(shape_network, "sparse_categorical_crossentropy", 32, 10, shapes),
    "weather_gru": Recipe(weather_gru, "mse", 32, 14, weather),
    "voices_conv": Recipe(voice_network, "sparse_categorical_crossentropy", 32, 10, voices),
    "melodies_lstm": Recipe(melody_lstm, "sparse_categorical_crossentropy", 32, 8, melodies),
}
