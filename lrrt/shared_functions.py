"""Hold what all loops of one model share, because no optimizer is in it: metrics, evaluations, copies of weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lrrt.batches import Batches
from lrrt.compiled_function import CompiledFunction
from lrrt.epoch_metrics import EpochMetrics
from lrrt.monitor import LOSS, Monitor
from lrrt.steps import has_step_of_its_own
from lrrt.validation_loop import ValidationLoop
from lrrt.variables import all_variables, read

if TYPE_CHECKING:
    import keras


class SharedFunctions:
    """The compiled functions of a model that are traced once for all of its optimizers.

    Args:
        model: a compiled model that is complete.
        monitor: what each step shows.
    """

    def __init__(self, model: keras.Model, monitor: Monitor = LOSS) -> None:
        self.model = model
        self.metrics = EpochMetrics(model, monitor)
        self.variables = all_variables(model)
        self.copy = CompiledFunction(partial(read, self.variables), [])
        """Copies the variables, on the device."""
        self._evaluations: dict[tuple[int, int], ValidationLoop] = {}

    def evaluation(self, batches: Batches) -> ValidationLoop:
        """Return what evaluates these batches; a `test_step` of the user's own, which may use the optimizer, is not
        shared.
        """
        if has_step_of_its_own(self.model):
            return ValidationLoop(self.model, batches, self.metrics)
        data = getattr(batches, "arrays", batches)  # which are the same in each of its batch sizes
        key = id(data), batches.batch_size
        if key not in self._evaluations:
            self._evaluations[key] = ValidationLoop(self.model, batches, self.metrics)
        return self._evaluations[key]
