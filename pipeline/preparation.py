"""Knows how a task is loaded and checked before anything trains."""

from __future__ import annotations

from lrrt import Loops
from pipeline.config import StageConfig
from pipeline.devices import use_all_devices
from pipeline.quiet_keras import import_keras
from pipeline.task import Task, TaskError, load_task


def prepare(config: StageConfig) -> tuple[Task, Loops]:
    """Import the task, load its data, build its model: whatever is wrong with them shows here, before any training.

    From then on this process trains on all devices that it sees.

    Raises:
        TaskError: where data or model break their contract.
    """
    import_keras()
    use_all_devices()
    task = load_task(config.task.build_model, config.task.load_data, seed=config.study.seed)
    try:
        loops = Loops(
            task.build_model,
            task.train,
            optimizers=config.range_test.optimizers,
            batch_size=config.range_test_batch_size,
            validation_data=task.validation,
        )
        for batch_size in config.study.batch_sizes:
            loops.check_batch_size(batch_size)
    except Exception as error:  # building the model runs the user's code, which may raise anything
        raise TaskError(f"{type(error).__name__}: {error}") from error
    return task, loops
