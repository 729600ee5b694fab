"""Record what a run of a loop showed at each of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrrt.stream import ITERATED_AGAIN


@dataclass(frozen=True, slots=True)
class Steps:
    """What a run of the loop recorded; it is shorter than its table of rates if a loss was not finite.

    `losses` has each step's own loss, `sizes` the samples in its batch, `monitored` what the loop's monitor showed at
    it; all of shape `(num_steps,)`.
    """

    losses: NDArray[np.float32]
    sizes: NDArray[np.int32]
    monitored: NDArray[np.float32]

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.losses).all())

    def mean_loss(self) -> float:
        """Return the mean over all samples, which is what `fit` calls the loss of an epoch."""
        return float(np.average(np.asarray(self.losses, float), weights=self.sizes))


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch of a loop showed.

    `training` and `validation` have metrics by name, as Keras's logs do, and `validation` the loss; it is empty if a
    training loss was not finite. `penalty` is what regularizers added to the validation loss.
    """

    steps: Steps
    training: Mapping[str, Any]
    validation: Mapping[str, Any]
    penalty: float = 0.0


def data_ended(num_steps: int) -> ValueError:
    """Return what is raised if data ends before a run of so many steps."""
    return ValueError(f"The data must last for {num_steps} more steps, but it ended before. {ITERATED_AGAIN}")
