"""Knows one task's model and data, and keeps its compiled loops: one per optimizer and batch size."""

from __future__ import annotations

import inspect
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lrrt.batches import ArrayBatches, Batches, Data, as_batches, with_batch_size
from lrrt.optimizers import as_optimizers, fresh_optimizer
from lrrt.training_loop import TrainingLoop, Values, build, read

if TYPE_CHECKING:
    import keras

KEPT_WEIGHTS = 4  # drawn initial weights that are kept for the next run with the same seed
FORWARD_FACTOR = 4  # a validation batch is so many training batches: a forward pass keeps no activations

ModelSource = Any  # () -> compiled keras.Model, KerasTuner's build(hp), or a compiled keras.Model


class Loops:
    """The loops of one task; range tests and trials that share them are traced once per optimizer and batch size.

    One model serves all loops: each run assigns all of its variables. Data is put on the device once.

    Args:
        model: a function that returns a compiled model, KerasTuner's `build(hp)`, taken with its default values, or a
            compiled model. A function's model starts each run from fresh weights drawn from the run's seed; a
            compiled model starts each run from the weights it came with.
        data: what is trained on; see `as_batches`.
        optimizers: names, Keras optimizers, or {label: either}.
        batch_size: samples a batch where `get` names no other.
        validation_data: what is validated on; of the kinds that `data` may have.

    Raises:
        TypeError: where the model or the data is of another kind.
        ValueError: where the model is not compiled, or the data is empty, not finite, or does not fit the model.
    """

    def __init__(
        self,
        model: ModelSource,
        data: Data,
        *,
        optimizers: Iterable[str | keras.Optimizer] | Mapping[str, str | keras.Optimizer],
        batch_size: int = 32,
        validation_data: Data | None = None,
    ) -> None:
        self.patterns = as_optimizers(optimizers)
        self.batches = as_batches(data, batch_size)
        self.validation = None if validation_data is None else as_batches(validation_data, 1, name="validation_data")
        self._build_model = _builder(model)
        self.model = model if self._build_model is None else _built(self._build_model, 0)
        build(self.model, self.batches)
        check_labels(self.model, self.batches, "data")
        check_labels(self.model, self.validation, "validation_data")
        self._found = read(self.model.variables) if self._build_model is None else None
        self._loops: dict[tuple[str, int], TrainingLoop] = {}
        self._drawn: OrderedDict[int, Values] = OrderedDict()

    @property
    def num_traces(self) -> dict[tuple[str, int], int]:
        """How often each (optimizer, batch size) was traced; 1 each, once it has run."""
        return {key: loop.num_traces for key, loop in self._loops.items()}

    @property
    def batch_size(self) -> int:
        """Samples a batch where `get` names no other; 0 where a dataset brings its own."""
        return _size_of(self.batches)

    def get(self, optimizer: str, batch_size: int | None = None) -> TrainingLoop:
        """Return the loop of this optimizer and batch size, made at the first call."""
        batches = self.batches if batch_size is None else with_batch_size(self.batches, batch_size)
        key = optimizer, _size_of(batches)
        if key not in self._loops:
            if optimizer not in self.patterns:
                raise ValueError(f"`optimizer` must be one of {', '.join(self.patterns)}, got {optimizer!r}.")
            validation = self.validation
            if isinstance(validation, ArrayBatches):
                size = min(validation.num_samples, FORWARD_FACTOR * (key[1] or 32))
                validation = with_batch_size(validation, size)
            self._loops[key] = TrainingLoop(self.model, fresh_optimizer(self.patterns[optimizer]), batches, validation)
        return self._loops[key]

    def check_batch_size(self, batch_size: int) -> None:
        """Refuse a batch size that `get` would refuse, without compiling anything.

        Raises:
            ValueError: where it is no count, or larger than the data.
        """
        with_batch_size(self.batches, batch_size)

    def initial_weights(self, seed: int) -> Values:
        """Return what all variables of the model are before a run with this seed, in the order of its variables."""
        if self._build_model is None:
            assert self._found is not None
            return self._found
        if seed not in self._drawn:
            self._drawn[seed] = read(_built(self._build_model, seed, self.batches).variables)
            if len(self._drawn) > KEPT_WEIGHTS:
                self._drawn.popitem(last=False)
        return self._drawn[seed]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed what Keras draws initial values and layer seeds from, Python's and NumPy's generators, then put them back.

    TensorFlow's global seed is left alone: Keras's initializers do not draw from it.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def _size_of(batches: Batches) -> int:
    return batches.batch_size if isinstance(batches, ArrayBatches) else 0


def _builder(model: ModelSource) -> Callable[[], keras.Model] | None:
    """Return a function of no arguments that builds the model, or None for a model that is there already."""
    import keras

    if isinstance(model, keras.Model):
        return None
    if not callable(model):
        raise TypeError(f"A model must be a function that builds one or a compiled keras.Model, got {model!r:.80}.")
    required = [
        parameter
        for parameter in inspect.signature(model).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(required) > 1:
        names = ", ".join(parameter.name for parameter in required)
        raise TypeError(f"A model builder must take no argument, or one (KerasTuner's hp), got one that needs {names}.")
    return _with_default_hyperparameters(model) if required else model


def _with_default_hyperparameters(build_model: Callable[[Any], keras.Model]) -> Callable[[], keras.Model]:
    def build_default() -> keras.Model:
        from keras_tuner import HyperParameters

        return build_model(HyperParameters())

    return build_default


def _built(build_model: Callable[[], keras.Model], seed: int, batches: Any = None) -> keras.Model:
    import keras

    with seeded(seed):
        model = build_model()
        if not isinstance(model, keras.Model):
            raise TypeError(f"A model builder must return a compiled keras.Model, got {type(model).__name__}.")
        if batches is not None and not model.built:
            build(model, batches)
    return model


def check_labels(model: keras.Model, batches: Any, name: str) -> None:
    """Refuse class labels that the model has no output for: on a CPU they raise, on a GPU they give NaN.

    Raises:
        ValueError: where a label of a sparse categorical crossentropy is negative, or too large for the model.
    """
    import keras

    is_sparse = (
        model.loss in ("sparse_categorical_crossentropy", keras.losses.sparse_categorical_crossentropy)
    ) or isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)
    if not is_sparse or not isinstance(batches, ArrayBatches) or len(batches.arrays) < 2:
        return
    outputs = model(batches.sample()[0], training=False)
    labels = np.asarray(batches.arrays[1])
    num_classes = outputs.shape[-1]
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"The labels of {name} must lie in 0..{num_classes - 1}, one for each of the model's {num_classes} outputs, "
            f"got labels from {labels.min()} to {labels.max()}."
        )
