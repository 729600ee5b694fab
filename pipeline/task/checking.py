"""Check a task as far as is cheap: its functions, and the model that is built; no data is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lrrt.hyper_models import HP, one_argument
from lrrt.models import as_builder, check_is_new, check_loss, seeded
from pipeline.config.tables import StageConfig
from pipeline.failures import TaskError
from pipeline.task.guard import guarded
from pipeline.task.loading import import_builder, import_function
from pipeline.task.tensorflow import import_keras
from studies.training.callbacks import A_CONFIG

if TYPE_CHECKING:
    import keras


def check_task(config: StageConfig) -> Iterator[str]:
    """Import the task's functions, check what they need, and build the model twice; yield what was checked.

    Raises:
        TaskError: with every mistake, each on its line.
    """
    import_keras()
    task = config.task
    mistakes: dict[str, str] = {}  # a module that cannot be imported is one mistake of all its functions
    checks: list[tuple[str, Callable[[str], str]]] = [
        (task.build_model, _check_builder),
        (task.load_data, _check_loader),
        (task.callbacks, _check_callbacks),
    ]
    for path, check in checks:
        try:
            if path:
                yield check(path)
        except TaskError as error:
            mistakes.setdefault(str(error).removeprefix(path), str(error))
    if mistakes:
        raise TaskError("\n".join(mistakes.values()))


def _check_builder(path: str) -> str:
    source = import_builder(path)
    with guarded(f"{path} must return a compiled model, it"):
        build = as_builder(source)
        models = [_compiled(build, path) for _ in range(2)]
        check_is_new(models[1], models[0])
    size = f"{models[0].count_params():,} parameters" if models[0].built else "not built before it sees data"
    return f"{path} builds a compiled model, {type(models[0]).__name__}, {size}."


def _compiled(build: Callable[[], keras.Model] | None, path: str) -> keras.Model:
    import keras

    assert build is not None, "a task's builder is a function"
    with seeded(0):
        model = build()
    if not isinstance(model, keras.Model):
        raise TaskError(f"{path} must return a compiled keras.Model, got {type(model).__name__}.")
    if not model.compiled:
        raise TaskError(f"{path} must return a compiled model, got {model.name!r} without a loss. Call model.compile.")
    check_loss(model)
    return model


def _check_loader(path: str) -> str:
    return f"{path} {_can_be_called(path, HP)}, so its data is not checked: `lrrt plan` does."


def _check_callbacks(path: str) -> str:
    return f"{path} {_can_be_called(path, A_CONFIG)}."


def _can_be_called(path: str, argument: str) -> str:
    try:
        name = one_argument(import_function(path), path, argument)
    except TypeError as error:
        raise TaskError(str(error)) from error
    return f"can be called with {f'{argument} as {name}' if name else 'no argument'}; it was not called"
