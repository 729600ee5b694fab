"""Save and load all that an interrupted trial needs to go on as if it had not been interrupted."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from lrrt.plain import Losses, from_plain, to_plain
from lrrt.variables import Values
from studies.storage.whole_file import replacing
from studies.trial import TrialResult, WrittenConfig
from studies.trial_config import TrialConfig

META = "meta"  # the entry with all that is no array, as JSON
BESIDE_META = Field(exclude=True)


class BrokenCheckpoint(ValueError):
    """A file that should hold a checkpoint does not."""


@dataclass(frozen=True, slots=True)
class TrialCheckpoint:
    """A trial at the end of an epoch.

    If the data is arrays, a trial that goes on from it ends with the same losses, bit for bit, as one that was not
    interrupted. A `tf.data.Dataset` that shuffles has a state that is not stored.

    Attributes:
        number: the trial's number in its study.
        config: its values.
        epochs: the planned number of epochs.
        seed: the trainer's seed.
        train_losses: of each epoch so far.
        val_losses: of each epoch so far.
        num_steps: steps so far.
        seconds: time so far.
        rng_state: the state of the NumPy generator that shuffles the data.
        weights: the model's variables, followed by the states of its layers.
        optimizer_values: the optimizer's variables.
        best_weights: the model's variables after its best epoch; None if no epoch had a finite loss.
        metrics: of each epoch so far, by the key in Keras's logs.
        folds: the results of the folds that have ended, if the trial is trained on folds; the rest is of the next one.
    """

    number: int
    config: WrittenConfig
    epochs: int
    seed: int
    train_losses: Losses
    val_losses: Losses
    num_steps: int
    seconds: float
    rng_state: Mapping[str, Any]
    weights: Annotated[Values, BESIDE_META]
    optimizer_values: Annotated[Values, BESIDE_META]
    best_weights: Annotated[Values | None, BESIDE_META]
    metrics: Mapping[str, Losses] = field(default_factory=dict)
    folds: tuple[TrialResult, ...] = ()

    @property
    def epoch(self) -> int:
        """Epochs that have ended."""
        return len(self.val_losses)

    def check_continues(self, config: TrialConfig, *, epochs: int, seed: int) -> None:
        """Refuse to go on with another trial, number of epochs or seed.

        Raises:
            ValueError: for the first that differs.
        """
        for name, before, now in (
            ("config", self.config, config),
            ("epochs", self.epochs, epochs),
            ("seed", self.seed, seed),
        ):
            if before != now:
                raise ValueError(f"A trial must go on with the `{name}` that it began with, {before!r}, got {now!r}.")

    def save(self, path: Path | str) -> None:
        """Write one .npz file, whole or not at all; it holds arrays and JSON, and no pickle."""
        meta = {**to_plain(self), "has_best_weights": self.best_weights is not None}
        arrays: dict[str, Any] = {META: np.frombuffer(json.dumps(meta).encode(), np.uint8)}
        for kind, values in self._groups().items():
            arrays.update({f"{kind}_{index}": np.asarray(value) for index, value in enumerate(values or ())})
        with replacing(Path(path)) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            BrokenCheckpoint: if the file holds no checkpoint.
            FileNotFoundError: if there is no file.
        """
        content = Path(path).read_bytes()
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                meta = json.loads(arrays[META].tobytes())
                groups = {kind: _group(arrays, kind) for kind in ("weights", "optimizer_values", "best_weights")}
                return from_plain(cls, meta | groups | ({} if meta["has_best_weights"] else {"best_weights": None}))
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise BrokenCheckpoint(f"{path} must hold a trial's checkpoint, got {error!r:.200}. Remove it.") from error

    def _groups(self) -> dict[str, Values | None]:
        return {
            "weights": self.weights,
            "optimizer_values": self.optimizer_values,
            "best_weights": self.best_weights,
        }


def _group(arrays: Mapping[str, Any], kind: str) -> list[Any]:
    count = sum(name.startswith(f"{kind}_") for name in arrays)
    return [arrays[f"{kind}_{index}"] for index in range(count)]
