"""Find the objective of a study among what a task's model shows on one batch."""

from __future__ import annotations

from lrrt.monitor import ON_VALIDATION
from studies.objective import TRAIN_LOSS, VAL_LOSS_NAME, Objective
from studies.training.callbacks import numbers
from studies.training.loop_cache import LoopCache


def find_objective(cache: LoopCache, name: str, direction: str) -> tuple[Objective, bool]:
    """Return the objective of this name, and whether only `model.evaluate` shows it and the compiled loop does not.

    A metric is looked for in what the model shows on one batch of the validation data.

    Raises:
        ValueError: for a name that the model does not show, with those that it does; for an unknown direction.
    """
    if name in (TRAIN_LOSS, VAL_LOSS_NAME):
        return Objective.named(name, direction), False
    compiled, evaluated = _shown(cache)
    if name not in {*compiled, *evaluated}:
        known = ", ".join(sorted({VAL_LOSS_NAME, TRAIN_LOSS, *compiled, *evaluated}))
        raise ValueError(
            f"The objective must be a loss or a metric that the model shows as one number, got {name!r}; it shows "
            f"{known}. Name a metric in model.compile(metrics=[..])."
        )
    return Objective.named(name, direction, cache.loops.model), name not in compiled


def _shown(cache: LoopCache) -> tuple[set[str], set[str]]:
    """Return the names that the compiled loop shows of training and validation, and those of `model.evaluate`."""
    loops = cache.loops
    fitting = loops.through_fit(loops.labels[0])
    logs = fitting.validation_logs(num_batches=1)
    in_loop = _single(fitting.metrics.read())
    loops.model.reset_metrics()
    compiled = {f"{prefix}{name}" for name in in_loop for prefix in ("", ON_VALIDATION)}
    return compiled, {f"{ON_VALIDATION}{name}" for name in _single(logs)}


def _single(logs: object) -> set[str]:
    return {name for name, value in numbers(logs).items() if isinstance(value, float)}  # type: ignore[arg-type]
