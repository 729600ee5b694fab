"""Check before a study that its trials fit the data, and its schedules the length of a trial."""

from __future__ import annotations

from lrrt.loops import Loops
from studies.space.search_space import SearchSpace


def check_space(space: SearchSpace, loops: Loops, epochs: int) -> None:
    """Refuse a space with batch sizes that the data cannot have, or schedules that need longer trainings.

    Args:
        space: of the trials.
        loops: of their task.
        epochs: of each trial.

    Raises:
        ValueError: for the first of them; for a schedule, with the steps that it needs at the largest batch size.
    """
    loops.check_batch_sizes(space.batch_sizes)
    batch_size = max(space.batch_sizes)
    num_batches = loops.num_batches(batch_size)
    try:
        space.check_num_steps(epochs * num_batches)
    except ValueError as error:
        raise ValueError(
            f"Every schedule must fit into epochs={epochs}, of {num_batches} batches of {batch_size}, but {error}"
        ) from None
