"""Build a user's model under a seed, complete it with a first batch, and refuse what cannot be trained."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.arrays import ArrayBatches
from lrrt.batches import Batches
from lrrt.metric_names import rename_metrics
from lrrt.variables import assign, beside, read, states_of

if TYPE_CHECKING:
    import keras

ModelSource = Any  # () -> compiled keras.Model, KerasTuner's build(hp), or a compiled keras.Model
BUILD_SAMPLES = 2  # rows of the batch that a model is built with


def as_builder(
    model: ModelSource, hyperparameters: Mapping[str, Any] | None = None
) -> Callable[[], keras.Model] | None:
    """Return a function of no arguments that builds the model, or None for a model that is there already.

    Args:
        model: a function that returns a compiled model, KerasTuner's `build(hp)`, or a compiled model.
        hyperparameters: values for `hp`; its defaults hold for what is not named.

    Raises:
        TypeError: for something else, or hyperparameters for what takes none.
    """
    import keras

    is_model = isinstance(model, keras.Model)
    if not is_model and not callable(model):
        raise TypeError(f"A model must be a function that builds one or a compiled keras.Model, got {model!r:.80}.")
    required = [] if is_model else _required_parameters(model)
    if len(required) > 1:
        raise TypeError(
            "A model builder must take no argument, or one (KerasTuner's hp), got one that needs "
            f"{', '.join(required)}."
        )
    if hyperparameters and not required:
        raise TypeError(f"Hyperparameters must go to a build(hp), got {dict(hyperparameters)!r} for {model!r:.80}.")
    if is_model:
        return None
    return _with_values(model, hyperparameters or {}) if required else model


def build_under(seed: int, build_model: Callable[[], keras.Model], batches: Batches) -> keras.Model:
    """Build a model whose initial values and layer seeds are drawn from this seed.

    Raises:
        TypeError: where the function returns something else.
        ValueError: where the model is not compiled.
    """
    import keras

    with seeded(seed):
        model = build_model()
        if not isinstance(model, keras.Model):
            raise TypeError(f"A model builder must return a compiled keras.Model, got {type(model).__name__}.")
        complete(model, batches)
    rename_metrics(model)
    return model


def complete(model: keras.Model, batches: Batches) -> None:
    """Create what a model makes on its first call: its weights, and the variables of its compiled metrics.

    Raises:
        ValueError: where the model is not compiled.
    """
    import keras

    if not model.compiled:
        raise ValueError(
            f"The model must be compiled, got {model.name!r} without a loss. Call model.compile(optimizer, loss) where "
            "it is built."
        )
    if all(layer.built for layer in model._flatten_layers()) and all(metric.variables for metric in model.metrics):
        return
    with _called_for_the_first_time(model):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batches.sample(BUILD_SAMPLES))
        y_pred = model(x, training=False)
        if y is not None:
            model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
            for metric in model.metrics:
                metric.reset_state()


def check_is_new(model: keras.Model, first: keras.Model) -> None:
    """Refuse a model that a builder made of what another of its models trains, or that has another architecture.

    A frozen part may be in both, unless it draws random numbers.

    Raises:
        ValueError: naming the first variable that both have, and training changes; or the first that differs.
    """
    import keras

    shapes, shapes_before = ([tuple(variable.shape) for variable in one.variables] for one in (model, first))
    if shapes != shapes_before:
        one, before = next(pair for pair in zip_longest(shapes, shapes_before) if pair[0] != pair[1])
        raise ValueError(
            "A model builder must make the same architecture at each call, got a variable of shape "
            f"{before or 'none'} and then of shape {one or 'none'}. Leave out what is random in it, or search it as a "
            "hyperparameter of build_model(hp)."
        )
    of_first = {id(variable) for variable in first.variables}
    for variable in model.variables:
        is_changed = variable.trainable or not keras.backend.is_float_dtype(variable.dtype)
        if is_changed and id(variable) in of_first:
            raise ValueError(
                "A model builder must make a new model at each call, since each run trains from fresh weights, got "
                f"{variable.path!r} in two models. Make all layers inside the function, and load weights there too; a "
                "model that is there already may be passed itself to range tests."
            )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed what Keras draws initial values and layer seeds from, Python's and NumPy's generators, then put them back.

    TensorFlow's global seed is left alone: Keras's initializers do not draw from it.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  # it is the global one
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def check_labels(model: keras.Model, batches: Batches | None, name: str) -> None:
    """Refuse class labels that the model has no output for: on a CPU they raise, on a GPU they give NaN.

    Raises:
        ValueError: where a label of a sparse categorical crossentropy is negative, or too large for the model.
    """
    import keras

    is_sparse = isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy) or (
        model.loss in ("sparse_categorical_crossentropy", keras.losses.sparse_categorical_crossentropy)
    )
    if not is_sparse or not isinstance(batches, ArrayBatches) or len(batches.arrays) == 1:
        return
    num_classes = model(batches.sample(BUILD_SAMPLES)[0], training=False).shape[-1]
    labels = np.asarray(batches.arrays[1])
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"The labels of {name} must lie in 0..{num_classes - 1}, one for each of the model's {num_classes} "
            f"outputs, got labels from {labels.min()} to {labels.max()}."
        )


@contextmanager
def _called_for_the_first_time(model: keras.Model) -> Iterator[None]:
    """Undo what the block's call changes in the model's states, so that a run begins as `fit` would."""
    before = beside(model)
    values = read(before)
    yield
    assign(before, values)
    known = {id(variable) for variable in before}
    new = [state for layer in model._flatten_layers() for state in states_of(layer) if id(state) not in known]
    assign(new, [np.zeros(state.shape) for state in new])


def _required_parameters(function: Callable[..., Any]) -> list[str]:
    positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(function).parameters.values()
    return [found.name for found in parameters if found.default is found.empty and found.kind in positional]


def _with_values(build_model: Callable[[Any], keras.Model], values: Mapping[str, Any]) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        from keras_tuner import HyperParameters

        hp = HyperParameters()
        hp.values = dict(values)
        model = build_model(hp)
        unknown = sorted(set(values) - {found.name for found in hp.space})
        if unknown:
            raise ValueError(
                f"Hyperparameters must be those that build(hp) asks for, got {', '.join(unknown)}; it asks for "
                f"{', '.join(found.name for found in hp.space)}."
            )
        return model

    return build
