"""Check that trials can be scored on the validation data."""

from __future__ import annotations

from lrrt.batches import Batches
from lrrt.rows import is_finite
from lrrt.stream import StreamBatches


def check_validation(validation: Batches | None) -> None:
    """Refuse validation data on which no trial can be scored; data that comes in batches is read for it.

    Raises:
        ValueError: if there is none, it has no end, or some of it is not finite.
    """
    if validation is None:
        raise ValueError("A study must have validation data to score its trials, got none.")
    check_finite(validation, "validation_data")


def check_finite(batches: Batches, name: str, *, most: int | None = None) -> None:
    """Read data that comes in batches, and refuse what is not finite; what is gone once it is read is left alone.

    Args:
        batches: of the data.
        name: what messages call them.
        most: so many are read, also of data without an end; None for all.

    Raises:
        ValueError: if it has no end, or some of it is not finite.
    """
    import keras

    number = batches.num_batches if most is None else most
    if not isinstance(batches, StreamBatches) or batches.is_read_once:  # their values are checked when they are taken
        return
    plan = batches.plan(number, None)
    for step in range(number):
        for part in keras.tree.flatten(batches.take(step, *plan)):
            if not is_finite(part):
                of_all = "" if most is not None else f" of {number}"
                raise ValueError(
                    f"{name} must be finite, got NaN or infinity in batch {step}{of_all}. Drop or fill those samples."
                )
