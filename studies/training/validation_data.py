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
    import keras

    if validation is None:
        raise ValueError("A study must have validation data to score its trials, got none.")
    if isinstance(validation, ArrayBatches):  # their values were checked when they were taken
        return
    plan = validation.plan(validation.num_batches, None)
    for step in range(validation.num_batches):
        for part in keras.tree.flatten(validation.take(step, *plan)):
            if not is_finite(part):
                raise ValueError(
                    f"validation_data must be finite, got NaN or infinity in batch {step} of {validation.num_batches}. "
                    "Drop or fill those samples."
                )
