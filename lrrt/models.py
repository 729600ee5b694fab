"""Build a user's model under a seed, complete it with a first batch, and refuse what cannot be trained."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.batches import Batches
from lrrt.hyper_models import as_function, takes_hyperparameters
from lrrt.matching import build_size, predicted, show_to_metrics
from lrrt.metric_names import rename_metrics
from lrrt.own_steps import check_optimizers
from lrrt.parts import Batch
from lrrt.steps import has_call, has_step_of_its_own
from lrrt.variables import assign, beside, read, states_of
from lrrt.words import did_you_mean

if TYPE_CHECKING:
    import keras

CHOSEN_BY_LABELS = ("crossentropy", "ce")  # Keras takes the one that suits the labels

ModelSource = Any  # () -> compiled keras.Model, KerasTuner's build(hp) or HyperModel, or a compiled keras.Model


def as_builder(
    model: ModelSource, hyperparameters: Mapping[str, Any] | None = None
) -> Callable[[], keras.Model] | None:
    """Return a function of no arguments that builds the model, or None for a model that is there already.

    Args:
        model: a function that returns a compiled model, KerasTuner's `build(hp)` or HyperModel, or a compiled model.
        hyperparameters: values for `hp`; its defaults hold for what is not named.

    Raises:
        TypeError: for something else, or hyperparameters for what takes none.
    """
    import keras

    model = as_function(model)
    is_model = isinstance(model, keras.Model)
    if not is_model and not callable(model):
        raise TypeError(f"A model must be a function that builds one or a compiled keras.Model, got {model!r:.80}.")
    takes_hp = not is_model and takes_hyperparameters(model)
    if hyperparameters and not takes_hp:
        raise TypeError(f"Hyperparameters must go to a build(hp), got {dict(hyperparameters)!r} for {model!r:.80}.")
    if is_model:
        return None
    return HyperBuilder(model, hyperparameters or {}) if takes_hp else model


def build_under(seed: int, build_model: Callable[[], keras.Model], batches: Batches) -> keras.Model:
    """Build a model whose initial values and layer seeds are drawn from this seed.

    Raises:
        TypeError: if the function returns something else.
        ValueError: if the model is not compiled.
    """
    import keras

    with seeded(seed):
        model = build_model()
        if not isinstance(model, keras.Model):
            raise TypeError(f"A model builder must return a compiled keras.Model, got {type(model).__name__}.")
        complete(model, batches)
    rename_metrics(model)
    return model


def check_loss(model: keras.Model) -> None:
    """Refuse the name of a loss that Keras does not know, which Keras itself looks up only in the first step.

    Raises:
        ValueError: with the name.
    """
    import keras

    for loss in keras.tree.flatten(getattr(model, "loss", None)):
        if isinstance(loss, str) and loss.lower() not in CHOSEN_BY_LABELS:
            try:
                keras.losses.get(loss)
            except ValueError:
                hint = did_you_mean(loss, dir(keras.losses))
                raise ValueError(f"The model's loss must be one that Keras knows, got {loss!r}.{hint}") from None


def complete(model: keras.Model, batches: Batches) -> None:
    """Create what a model makes on its first call: its weights, and the variables of its compiled metrics.

    Raises:
        ValueError: if the model is not compiled.
    """
    import keras

    if not model.compiled:
        raise ValueError(
            f"The model must be compiled, got {model.name!r} without a loss. Call model.compile(optimizer, loss) where "
            "it is built."
        )
    check_loss(model)
    check_optimizers(model)
    if _is_built(model) and all(metric.variables for metric in model.metrics):
        return
    with left_in_its_state(model):
        batch = batches.sample(build_size(model, batches))
        _, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        try:
            y_pred = predicted(model, batch, "data") if has_call(model) else None
        except ValueError:
            if not has_step_of_its_own(model):
                raise
            y_pred = None
        if y_pred is None or (y is None and not model.run_eagerly):
            _trace_step(model, batch)
        elif y is not None:
            show_to_metrics(model, batch, y_pred, "data")
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


@contextmanager
def left_in_its_state(model: keras.Model) -> Iterator[None]:
    """Undo what the block's calls change in the model's states, so that a run begins as `fit` would."""
    before = beside(model)
    values = read(before)
    try:
        yield
    finally:
        assign(before, values)
        known = {id(variable) for variable in before}
        new = [state for layer in model._flatten_layers() for state in states_of(layer) if id(state) not in known]
        assign(new, [np.zeros(state.shape) for state in new])


def _is_built(model: keras.Model) -> bool:
    """Say whether a model has its weights.

    Keras never calls a model without `call` built, and one built that was given its shape alone, without its layers'.
    """
    have_weights = all(layer.built for layer in model._flatten_layers(include_self=False))
    return have_weights and (model.built or not has_call(model))


def _trace_step(model: keras.Model, batch: Batch) -> None:
    """Create a model's variables as `fit` does it for one that cannot be called: by tracing its `train_step`.

    Nothing is trained, and the model's optimizer is left as it was.
    """
    import keras
    import tensorflow as tf

    optimizer, model.optimizer = model.optimizer, keras.optimizers.SGD()
    try:
        tf.function(model.train_step, autograph=False).get_concrete_function(batch)
    finally:
        model.optimizer = optimizer


class UnknownHyperparameters(ValueError):
    """Values were given that `build(hp)` does not ask for; `names` are theirs."""

    def __init__(self, names: Sequence[str], asked: Sequence[str]) -> None:
        super().__init__(
            f"Hyperparameters must be those that build(hp) asks for, got {', '.join(names)}; it asks for "
            f"{', '.join(asked)}."
        )
        self.names, self.asked = tuple(names), tuple(asked)


class HyperBuilder:
    """A `build(hp)` with values for its hyperparameters; `asked` are those that the last build asked for."""

    def __init__(self, build_model: Callable[[Any], keras.Model], values: Mapping[str, Any]) -> None:
        self._build_model, self._values = build_model, dict(values)
        self.asked: dict[str, Any] = {}

    def __call__(self) -> keras.Model:
        """Build the model.

        Raises:
            UnknownHyperparameters: for values that this build does not ask for.
        """
        from keras_tuner import HyperParameters

        hp = HyperParameters()
        hp.values = dict(self._values)
        model = self._build_model(hp)
        self.asked = {parameter.name: hp.values[parameter.name] for parameter in hp.space if hp.is_active(parameter)}
        unknown = sorted(set(self._values) - set(self.asked))
        if unknown:
            raise UnknownHyperparameters(unknown, list(self.asked))
        return model
