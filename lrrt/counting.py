"""Count the batches of a dataset that does not know its length, without waiting for ever for one that has no end."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from lrrt.words import capitalised

if TYPE_CHECKING:
    import tensorflow as tf

_LOG = logging.getLogger("lrrt")
QUIET_S = 10.0  # of a count; after it, someone who waits is told why, and what helps if there is no end
REMEDY = "say how long an epoch is: steps_per_epoch in [task], or .take(n) on the dataset; validation data must end"
MOST_BATCHES = 1_000_000
LONGEST_S = 600.0  # a longer pass over the data should not be made for its length alone


def count_batches(dataset: tf.data.Dataset, name: str) -> int:
    """Return the number of batches; each is taken in Python, so that a signal may end the count.

    Raises:
        ValueError: if there is no end after a million batches, or after ten minutes.
    """
    began, number, is_told = time.monotonic(), 0, False
    for _ in dataset.map(lambda *_: 0):
        number += 1
        seconds = time.monotonic() - began
        if seconds >= QUIET_S and not is_told:
            is_told = True
            _LOG.warning(
                f"{name} does not say how many batches it has, so they are counted: {number} in {seconds:.0f} s. If it "
                f"has no end, stop and {REMEDY}. The count ends at {MOST_BATCHES} batches or after {LONGEST_S:.0f} s."
            )
        if number >= MOST_BATCHES or seconds >= LONGEST_S:
            raise ValueError(
                f"{name} must have an end that can be found, but {number} batches in {seconds:.0f} s showed none. "
                f"{capitalised(REMEDY)}."
            )
    return number
