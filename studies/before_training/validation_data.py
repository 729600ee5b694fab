"""Check that trials can be scored on the validation data."""

from __future__ import annotations

from lrrt.arrays import ArrayBatches
from lrrt.batches import Batches
from lrrt.rows import is_finite


def check_validation(validation: Batches | None) -> None:
    """Refuse validation data on which no trial can be scored; data that comes in batches is read once.

    Raises:
        ValueError: if there is none, it has no end, or some of it is not finite.
    """
    if validation is None:
        raise ValueError("A study must have validation data to score its trials, got none.")
    check_finite(validation, "validation_data")


def check_finite(batches: Batches, name: str) -> None:
    """Read data that comes in batches once, and refuse what is not finite.

    Raises:
        ValueError: if it has no end, or some of it is not finite.
    """
    import keras

    if isinstance(batches, ArrayBatches):  # their values were checked when they were taken
        return
    plan = batches.plan(batches.num_batches, None)
    for step in range(batches.num_batches):
        for part in keras.tree.flatten(batches.take(step, *plan)):
            if not is_finite(part):
                raise ValueError(
                    f"{name} must be finite, got NaN or infinity in batch {step} of {batches.num_batches}. "
                    "Drop or fill those samples."
                )
