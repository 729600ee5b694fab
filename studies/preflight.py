"""Knows what must hold before a study trains: validation data to judge on, trainings that their schedules fit into."""

from __future__ import annotations

from lrrt.arrays import ArrayBatches
from lrrt.batches import Batches
from lrrt.loops import Loops
from studies.families import FAMILIES
from studies.schedules import make_schedule
from studies.space import SearchSpace


def check_validation(validation: Batches | None) -> None:
    """Refuse validation data that no trial can be scored on; data that comes in batches is read once.

    Raises:
        ValueError: where there is none, it has no end, or not all of it is finite.
    """
    import keras
    import tensorflow as tf

    if validation is None:
        raise ValueError("A study must have validation data to score its trials, got none.")
    if isinstance(validation, ArrayBatches):  # whose values were looked at when they were taken
        return
    plan = validation.plan(validation.num_batches, None)
    for step in range(validation.num_batches):
        for part in keras.tree.flatten(validation.take(step, *plan)):
            if part.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(part))):
                raise ValueError(
                    f"validation_data must be finite, got NaN or infinity in batch {step} of {validation.num_batches}. "
                    "Drop or fill those samples."
                )


def check_length(space: SearchSpace, loops: Loops, *, epochs: int) -> None:
    """Refuse a space with schedules that need more steps than its trials have.

    Raises:
        ValueError: for the first of them, with what it asks for at most.
    """
    batch_size = max(space.batch_sizes)
    num_steps = epochs * loops.num_batches(batch_size)
    dimensions = {dimension.name: dimension for dimension in space.dimensions()}
    for schedule in space.schedules:
        counts = {found.name for found in FAMILIES[schedule].parameters if found.integer or found.name == "warmup"}
        most = {name: dimensions[f"{schedule}__{name}"].high for name in counts if f"{schedule}__{name}" in dimensions}
        try:
            make_schedule(schedule, 1.0, num_steps, **most)
        except ValueError as error:
            raise ValueError(
                f"Every schedule must fit into {epochs} epochs of {num_steps // epochs} batches of {batch_size}, but "
                f"{error} Raise `epochs`, or leave {schedule!r} out."
            ) from None
