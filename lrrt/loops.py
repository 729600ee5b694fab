"""Hold one task's model and data with its compiled loops: one for each optimizer and batch size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from lrrt.arrays import ArrayBatches
from lrrt.batches import Batches, Data, as_batches
from lrrt.initial_weights import InitialWeights
from lrrt.matching import check_data, check_fixed_size, required_batch_size
from lrrt.models import HyperBuilder, ModelSource, as_builder, build_under, check_is_new, complete, left_in_its_state
from lrrt.monitor import checked_monitor
from lrrt.optimizers import as_optimizers, check_exclusions, fresh_optimizer
from lrrt.own_steps import check_test_step
from lrrt.shared_functions import SharedFunctions
from lrrt.steps import is_stateful
from lrrt.training_loop import TrainingLoop
from lrrt.untrained import UntrainedLosses
from lrrt.validation_loop import in_larger_batches
from lrrt.variables import Values, all_variables, assign, read

if TYPE_CHECKING:
    import keras

    from lrrt.fit_loop import FitLoop

UNKNOWN_SIZE = 32  # taken for the samples of a batch if the training data brings its own size


class Loops:
    """The loops of one task; range tests and trials that share them are traced once per optimizer and batch size.

    One model serves all loops: each run assigns all of its variables. Data is put on the device once. Made under a
    `tf.distribute` strategy's scope, the loops train on all of its replicas.

    Args:
        model: a function that returns a compiled model, KerasTuner's `build(hp)` or HyperModel, or a compiled model. A
            function's model starts each run from fresh weights drawn from the run's seed, so that it must make a new
            model at each call; a compiled model starts each run from the weights it came with.
        data: what is trained on: arrays (x, y), dicts or tuples of arrays, with sample weights if there are any; a
            batched tf.data.Dataset; a keras.utils.PyDataset; a generator of batches.
        optimizers: names, Keras optimizers, or {label: either}.
        batch_size: samples a batch if `get` names no other.
        validation_data: what is validated on; of the kinds that `data` may have.
        class_weight: the weight of each class's samples, for labels that are class numbers or one-hot.
        steps_per_epoch: batches in an epoch; the next epoch goes on where it stopped. None for all of the data.
        hyperparameters: values for a `build(hp)`; its defaults hold for what is not named.
        monitor: what is recorded of each step: "loss", a compiled metric, or either with "val_" before it.
        monitor_mode: "min", "max", or "auto" if Keras knows the metric's direction.

    Raises:
        TypeError: if the model or the data is of another kind.
        ValueError: if the model is not compiled or not new at each call, or the data is empty, not finite, or does
            not fit the model.
    """

    def __init__(
        self,
        model: ModelSource,
        data: Data,
        *,
        optimizers: Iterable[str | keras.Optimizer] | Mapping[str, str | keras.Optimizer],
        batch_size: int = 32,
        validation_data: Data | None = None,
        class_weight: Mapping[int, float] | None = None,
        steps_per_epoch: int | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        monitor: str = "loss",
        monitor_mode: str = "auto",
    ) -> None:
        import tensorflow as tf

        _check_steps(steps_per_epoch)
        self.patterns = as_optimizers(optimizers)
        self.labels = tuple(self.patterns)  # a cache of trials' loops adds patterns of its own
        self.batches = as_batches(data, batch_size, class_weight=class_weight)
        self.validation = None if validation_data is None else as_batches(validation_data, 1, name="validation_data")
        self.steps_per_epoch = steps_per_epoch
        self._strategy = tf.distribute.get_strategy()
        self._source = model
        self._take_model(hyperparameters, monitor, monitor_mode)
        if self._build_model is not None:
            self.initial_weights(0)  # refuses a builder that makes no new model, before anything is trained

    def like(
        self,
        *,
        hyperparameters: Mapping[str, Any] | None = None,
        monitor: str = "loss",
        monitor_mode: str = "auto",
    ) -> Self:
        """Return loops of the same task with other hyperparameters or another monitor.

        They share the data, which is neither read nor put on the device again.
        """
        other = copy(self)
        other.patterns = {label: self.patterns[label] for label in self.labels}
        other._take_model(hyperparameters, monitor, monitor_mode)
        return other

    def _take_model(self, hyperparameters: Mapping[str, Any] | None, monitor: str, monitor_mode: str) -> None:
        self.hyperparameters = dict(hyperparameters or {})
        self._build_model = as_builder(self._source, hyperparameters)
        self.model = self._source if self._build_model is None else self._build(0)
        self._initial_metrics = read(self.model.metrics_variables) if self.model.compiled else []
        complete(self.model, self.batches)
        keeps_order = is_stateful(self.model)
        if isinstance(self.batches, ArrayBatches) and self.batches.keeps_order is not keeps_order:
            self.batches = replace(self.batches, keeps_order=keeps_order)
        with left_in_its_state(self.model):
            self._required_batch_size = required_batch_size(self.model, self.batches)
            check_data(self.model, self.batches, "data")
            check_data(self.model, self.validation, "validation_data")
            check_test_step(self.model, self.validation)
        check_exclusions(self.patterns, self.model)
        self.monitor = checked_monitor(monitor, self.model, monitor_mode, has_validation=self.validation is not None)
        self._initial_values = read(all_variables(self.model)) if self._build_model is None else None
        self._loops: dict[tuple[str, int], FitLoop] = {}
        self.drawn = InitialWeights()
        self.untrained = UntrainedLosses()
        self._shared = SharedFunctions(self.model, self.monitor)

    @property
    def num_traces(self) -> dict[tuple[str, int], int]:
        """How often each (optimizer, batch size) was traced; 1 each, once it has run."""
        return {key: fit_loop.loop.num_traces for key, fit_loop in self._loops.items()}

    @property
    def asked_hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters that `build(hp)` asked for, by name, with their values; {} for another builder."""
        return dict(self._build_model.asked) if isinstance(self._build_model, HyperBuilder) else {}

    @property
    def batch_size(self) -> int:
        """Samples a batch if `get` names no other; 0 if the data brings its own size."""
        return self.batches.batch_size

    def get(self, optimizer: str, batch_size: int | None = None) -> TrainingLoop | FitLoop:
        """Return the loop of this optimizer and batch size, made and traced at the first call.

        It is a compiled one, or, if the model cannot be traced, one through `model.fit`, whose `reason` says why.

        Raises:
            ValueError: for an unknown optimizer, or a batch size that does not fit the data.
        """
        fit_loop = self.through_fit(optimizer, batch_size)
        return fit_loop if fit_loop.reason else fit_loop.loop

    def through_fit(self, optimizer: str, batch_size: int | None = None) -> FitLoop:
        """Return what trains through `model.fit`, whatever the model; its `loop` is the compiled one, not yet traced.

        Raises:
            ValueError: for an unknown optimizer, or a batch size that does not fit the data.
        """
        from lrrt.fit_loop import FitLoop

        if optimizer not in self.patterns:
            raise ValueError(f"`optimizer` must be one of {', '.join(self.patterns)}, got {optimizer!r}.")
        batches = self._in_batches_of(batch_size)
        key = optimizer, batches.batch_size
        if key not in self._loops:
            with self._strategy.scope():
                made = fresh_optimizer(self.patterns[optimizer])
                validation = in_larger_batches(self.model, self.validation, batches.batch_size or UNKNOWN_SIZE)
                loop = TrainingLoop(self.model, made, batches, validation, self.monitor, self._shared)
                self._loops[key] = FitLoop(loop)
        return self._loops[key]

    def drop(self, optimizer: str, batch_size: int | None = None) -> None:
        """Let go of a loop and of what it holds; `get` makes it anew."""
        self._loops.pop((optimizer, self._in_batches_of(batch_size).batch_size), None)

    def check_batch_sizes(self, batch_sizes: Sequence[int]) -> None:
        """Refuse batch sizes to be compared that `get` would refuse or ignore, without compiling anything.

        Raises:
            ValueError: if one is no count or larger than the data, if two are the same, or if there are
                several for data that brings its own size.
        """
        sizes = list(batch_sizes)
        if len(sizes) != len(set(sizes)):
            raise ValueError(f"`batch_sizes` must differ from each other, got {sizes}.")
        if len(sizes) > 1 and not self.batch_size:
            raise ValueError(
                f"`batch_sizes` must come with data in arrays, got {sizes} for data in batches of its own. Pass the "
                "arrays, or one batch size."
            )
        for size in sizes:
            self._in_batches_of(size)

    def num_batches(self, batch_size: int) -> int:
        """Return how many batches of this size an epoch has; data that brings its own size has its own number.

        Raises:
            ValueError: for a batch size that does not fit the data, or data without an end and no `steps_per_epoch`.
        """
        batches = self._in_batches_of(batch_size)
        return self.steps_per_epoch or batches.num_batches

    def initial_weights(self, seed: int) -> Values:
        """Return what `all_variables` of the model are before a run with this seed.

        Raises:
            ValueError: for a builder that does not make a new model.
        """
        if self._build_model is None:
            assert self._initial_values is not None, "what a compiled model came with is read when the loops are made"
            return self._initial_values
        return self.drawn.of(seed, self._draw)

    @contextmanager
    def left_as_found(self) -> Iterator[None]:
        """Put the variables and metrics of a compiled model that was passed in back, however the block ends."""
        try:
            yield
        finally:
            if self._initial_values is not None:
                assign(all_variables(self.model), self._initial_values)
                if len(self._initial_metrics) == len(self.model.metrics_variables):
                    assign(self.model.metrics_variables, self._initial_metrics)

    def _draw(self, seed: int) -> Values:
        made = self._build(seed)
        check_is_new(made, self.model)
        return read(all_variables(made))

    def _build(self, seed: int) -> keras.Model:
        assert self._build_model is not None, "a compiled model is there already"
        with self._strategy.scope():
            return build_under(seed, self._build_model, self.batches)

    def _in_batches_of(self, batch_size: int | None) -> Batches:
        if not isinstance(self.batches, ArrayBatches):
            return self.batches
        check_fixed_size(self._required_batch_size, self.batches.batch_size if batch_size is None else batch_size)
        return self.batches if batch_size is None else self.batches.with_batch_size(batch_size)


def _check_steps(steps_per_epoch: int | None) -> None:
    is_count = isinstance(steps_per_epoch, int) and not isinstance(steps_per_epoch, bool) and steps_per_epoch >= 1
    if steps_per_epoch is not None and not is_count:
        raise ValueError(f"`steps_per_epoch` must be a whole number >= 1, or None for all, got {steps_per_epoch!r}.")
