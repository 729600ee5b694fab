"""Find the Python code that loads a saved model in a fresh process, by trying it."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lrrt.models import as_builder, seeded
from pipeline.task.loading import import_function
from studies.user_code import tried

CONFIG = "config.json"  # in a .keras file


def code_for_whole(file: Path, name: str, build_model: str) -> str | None:
    """Return the code that loads a model that was saved whole; None if none does.

    Args:
        file: a .keras file.
        name: what the code calls it.
        build_model: the task's `module:function`, whose module has the user's classes.
    """
    module = build_model.partition(":")[0]
    objects = _objects(file, module)
    named = ", ".join(f'"{key}": {path}' for key, (path, _) in objects.items())
    custom = {key: value for key, (_, value) in objects.items()}
    modules = ", ".join(dict.fromkeys([module, *(path.rpartition(".")[0] for path, _ in objects.values())]))
    ways: list[tuple[str, str, bool, dict[str, Any]]] = [
        ("import keras", "", False, {}),
        (f"import keras, {modules}", "", True, {}),
        *(
            [(f"import keras, {modules}", f", custom_objects={{{named}}}", True, {"custom_objects": custom})]
            * bool(custom)
        ),
    ]
    for more_text, more in (
        ("", {}),
        (", safe_mode=False", {"safe_mode": False}),
        (", compile=False", {"compile": False}),
        (", safe_mode=False, compile=False", {"safe_mode": False, "compile": False}),
    ):
        for imports, text, is_registered, arguments in ways:
            if _loads(file, {**arguments, **more}, is_registered=is_registered):
                return f'{imports}; model = keras.saving.load_model("{name}"{text}{more_text})'
    return None


def code_for_weights(file: Path, name: str, build_model: str, values: Mapping[str, Any]) -> str:
    """Return the code that loads weights into a new model of the user's builder.

    Args:
        file: a .weights.h5 file.
        name: what the code calls it.
        build_model: the task's `module:function`.
        values: the hyperparameters of the model.
    """
    module, _, function = build_model.partition(":")
    builder = import_function(build_model)
    call, imports = f"{module}.{function}()", f"import {module}"
    build = as_builder(builder, dict(values))
    assert build is not None, "a task's builder is a function"
    if build is not builder:  # it takes hyperparameters
        imports = f"import keras_tuner, {module}; hp = keras_tuner.HyperParameters(); hp.values = {dict(values)!r}"
        call = f"{module}.{function}(hp)"
    first = "" if _takes_weights(build, file) else "model(x)  # a batch of your data, which makes its weights\n"
    return f'{imports}; model = {call}; {first}model.load_weights("{name}")'


def _objects(file: Path, task_module: str) -> dict[str, tuple[str, Any]]:
    """Return the user's classes and functions that a saved model names, by that name, with where they are."""
    with zipfile.ZipFile(file) as saved:
        config = json.loads(saved.read(CONFIG))
    objects: dict[str, tuple[str, Any]] = {}
    for one in _dicts(config):
        is_function = one.get("class_name") == "function" and isinstance(one.get("config"), str)
        name = one["config"] if is_function else one.get("class_name")
        module = one.get("module") or task_module
        if not isinstance(name, str) or str(module).partition(".")[0] == "keras":
            continue
        for place in (module, task_module):
            value = getattr(sys.modules.get(place), name, None)
            if value is not None and place != "builtins":
                objects[name if is_function else one.get("registered_name") or name] = f"{place}.{name}", value
                break
    return objects


def _dicts(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, dict):
        yield data
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _dicts(item)


def _loads(file: Path, arguments: Mapping[str, Any], *, is_registered: bool) -> bool:
    import keras

    with seeded(0), _registry(is_full=is_registered):
        _, error = tried(lambda: keras.saving.load_model(file, **arguments))  # runs the user's layers
    return error is None


@contextmanager
def _registry(*, is_full: bool) -> Iterator[None]:
    """While the block runs, let Keras know no class of others, as in a process that has imported Keras alone."""
    import keras

    registered = keras.saving.get_custom_objects()
    before = dict(registered)
    if not is_full:
        registered.clear()
    try:
        yield
    finally:
        registered.update(before)


def _takes_weights(build: Callable[[], Any], file: Path) -> bool:
    with seeded(0):
        _, error = tried(lambda: build().load_weights(file))
    return error is None
