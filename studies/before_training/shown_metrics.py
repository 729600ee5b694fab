"""Find the objectives of a study among what a task's model shows on one batch."""

from __future__ import annotations

from collections.abc import Sequence

from lrrt.monitor import ON_VALIDATION
from studies.objective import OF_TRIALS, TRAIN_LOSS, VAL_LOSS_NAME, Objective, Objectives, check_names
from studies.training.callbacks import numbers
from studies.training.loop_cache import LoopCache

LOSSES = {TRAIN_LOSS, VAL_LOSS_NAME}


def find_objectives(
    cache: LoopCache, names: str | Sequence[str], direction: str | Sequence[str] = "auto"
) -> tuple[Objectives, bool]:
    """Return the objectives of these names, and whether only `model.evaluate` shows one and the compiled loop does not.

    A metric is looked for in what the model shows on one batch of the validation data.

    Args:
        cache: the loops of the task.
        names: of one or several objectives.
        direction: of the first, if Keras knows those of further ones; or a list with that of each.

    Raises:
        ValueError: for a name that the model does not show, with those that it does; for a direction that is unknown;
            for names that cannot stand together; for a list of directions of another length.
    """
    every = [names] if isinstance(names, str) else list(names)
    check_names(every)
    of_epochs = [name for name in every if name not in OF_TRIALS]
    in_loop, evaluated = _shown(cache) if set(of_epochs) - LOSSES else (LOSSES, LOSSES)
    for name in of_epochs:
        if name not in in_loop | evaluated:
            raise ValueError(
                f"The objective must be a loss or a metric that the model shows as one number, got {name!r}; it shows "
                f"{', '.join(sorted(in_loop | evaluated))}. Name a metric in model.compile(metrics=[..])."
            )
    directions = [direction, *("auto" for _ in every[1:])] if isinstance(direction, str) else list(direction)
    if len(directions) != len(every):
        raise ValueError(
            f"`direction` must be one, or one for each of {len(every)} objectives, got {directions!r:.80}."
        )
    objectives = tuple(
        OF_TRIALS.get(name) or Objective.named(name, way, cache.loops.model)
        for name, way in zip(every, directions, strict=True)
    )
    return objectives, not in_loop.issuperset(of_epochs)


def _shown(cache: LoopCache) -> tuple[set[str], set[str]]:
    """Return the names that the compiled loop shows of training and validation, and those of `model.evaluate`."""
    loops = cache.loops
    fitting = loops.through_fit(loops.labels[0])
    logs = fitting.validation_logs(num_batches=1)
    in_loop = _single(fitting.metrics.read())
    loops.model.reset_metrics()
    compiled = {f"{prefix}{name}" for name in in_loop for prefix in ("", ON_VALIDATION)} | LOSSES
    return compiled, {f"{ON_VALIDATION}{name}" for name in _single(logs)}


def _single(logs: object) -> set[str]:
    return {name for name, value in numbers(logs).items() if isinstance(value, float)}  # type: ignore[arg-type]
