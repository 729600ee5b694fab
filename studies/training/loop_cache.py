"""Choose the compiled loop that trains a trial: one per set of model hyperparameters, a few of them stored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from lrrt.loops import Loops
from lrrt.models import UnknownHyperparameters
from lrrt.optimizers import optimizer_like
from lrrt.training_loop import TrainingLoop
from studies.dimension import Value
from studies.training.momentum import momentum_of, moves_momentum
from studies.trial_config import TrialConfig, momentum_name
from studies.user_code import tried

if TYPE_CHECKING:
    import tensorflow as tf

    from lrrt.fit_loop import FitLoop

MAX_MODELS = 4  # the loops of so many models are stored; each has its traced functions in memory
ANY_MOMENTUM, ANY_WEIGHT_DECAY = 0.9, 1e-4  # until a trial sets its own; at 0 an optimizer would leave them out


class LoopCache:
    """The loops of a task whose trials also differ by their model, weight decay or momentum.

    A trial's weight decay and momentum are variables of its loop, so that a new value needs no new trace. The momentum
    of one cycle, which changes from step to step, is such a variable too. Another model must be traced anew. The loops
    of the last few models are stored, and share the data on the device.

    Args:
        loops: the loops of the model with its default hyperparameters.
        max_models: the number of other models whose loops are stored.
        make: makes the loops for values of a trial's own hyperparameters; None if only the model depends on them.
    """

    def __init__(
        self,
        loops: Loops,
        *,
        max_models: int = MAX_MODELS,
        make: Callable[[Mapping[str, Value]], Loops] | None = None,
    ) -> None:
        self.loops = loops
        self._make = make or (lambda values: self.loops.like(hyperparameters=values))
        self._max_models = max_models
        self._loops_of_models: OrderedDict[tuple[tuple[str, Value], ...], Loops] = OrderedDict()
        self._variables: WeakKeyDictionary[TrainingLoop, dict[str, tf.Variable]] = WeakKeyDictionary()

    def as_built(self, config: TrialConfig) -> TrialConfig:
        """Return a trial's config without the hyperparameters that its model does not ask for.

        Raises:
            Exception: whatever the model's builder raises.
        """
        try:
            self.loops_of(config)
        except UnknownHyperparameters as error:
            remaining = tuple((name, value) for name, value in config.own if name not in error.names)
            return self.as_built(replace(config, own=remaining))
        return config

    def late_hyperparameters(self, config: TrialConfig) -> dict[str, Any]:
        """Return what a trial's model asks for, but neither its config has nor the default model; with its values."""
        known = {*dict(config.own), *self.loops.asked_hyperparameters}
        asked = self.loops_of(config).asked_hyperparameters
        return {name: value for name, value in asked.items() if name not in known}

    def loops_of(self, config: TrialConfig) -> Loops:
        """Return the loops of a trial's model.

        Raises:
            TypeError: if the trial has hyperparameters of the model, but the model's builder takes none.
        """
        if not config.own:
            return self.loops
        if config.own not in self._loops_of_models:
            self._loops_of_models[config.own] = self._make(dict(config.own))
            if len(self._loops_of_models) > self._max_models:
                self._loops_of_models.popitem(last=False)
        self._loops_of_models.move_to_end(config.own)
        return self._loops_of_models[config.own]

    def loop_of(self, config: TrialConfig) -> FitLoop:
        """Return the loop of a trial, with its optimizer's weight decay set; `train` takes the momentum.

        It trains through `model.fit`. Its `loop` trains compiled, unless there is a `reason` against that.

        Raises:
            ValueError: for an optimizer, a batch size or a hyperparameter of the model that the loops do not have.
        """
        loops = self.loops_of(config)
        if config.optimizer_name not in loops.labels:
            known = ", ".join(loops.labels)
            raise ValueError(f"A trial's optimizer must be one of {known}, got {config.optimizer_name!r}.")
        pattern = loops.patterns[config.optimizer_name]
        searched = _searched(config, pattern)
        label = _label(config, searched)
        if label not in loops.patterns:
            loops.patterns[label] = _pattern(pattern, searched)
        fitting = loops.through_fit(label, config.batch_size)
        loop = fitting.loop
        if searched and loop not in self._variables:
            self._variables[loop] = _with_variables(loop.optimizer, searched)
            loop.momentum = self._variables[loop].get("momentum")
        for name, variable in self._variables.get(loop, {}).items():
            variable.assign(searched[name])
        return fitting

    @contextmanager
    def room_for(self, config: TrialConfig) -> Iterator[None]:
        """If the block runs out of memory, drop the loop of its trial, so that the next trial has room."""
        import tensorflow as tf

        try:
            yield
        except (MemoryError, tf.errors.ResourceExhaustedError):
            self._drop(config)
            raise

    def _drop(self, config: TrialConfig) -> None:
        if config.own:
            self._loops_of_models.pop(config.own, None)
            return
        label = _label(config, _searched(config, self.loops.patterns[config.optimizer_name]))
        if label in self.loops.patterns:
            self.loops.drop(label, config.batch_size)


def built_if_possible(cache: LoopCache, config: TrialConfig, note: Callable[[str], None]) -> TrialConfig:
    """Return a config as it is built; as it is if that is not possible.

    Args:
        cache: builds the trial's model.
        config: the trial's values.
        note: called with a sentence about each hyperparameter that is not searched.
    """
    built, _ = tried(lambda: cache.as_built(config))
    if built is None:
        return config
    for name, value in cache.late_hyperparameters(built).items():
        note(
            f"hyperparameter {name!r} is not searched: only some trials' models ask for it, and none of the builds "
            f"before the study did; it keeps its default, {value!r}"
        )
    return built


class _SearchedMomentum:
    """A momentum that is a variable; optimizers ask during the trace whether it is 0, and this one never is."""

    def __init__(self, variable: tf.Variable) -> None:
        self.variable = variable

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return id(self)

    def __gt__(self, other: float) -> bool:
        return True

    def __mul__(self, other: Any) -> Any:
        return self.variable * other

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Any:
        return self.variable - other

    def __rsub__(self, other: Any) -> Any:
        return other - self.variable

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        import tensorflow as tf

        return tf.convert_to_tensor(self.variable, dtype=dtype, name=name)


def _searched(config: TrialConfig, pattern: Any) -> dict[str, float]:
    """Return the values that a trial changes in its optimizer, besides the rate, by name."""
    values = {} if config.weight_decay is None else {"weight_decay": config.weight_decay}
    if moves_momentum(config, pattern):
        values["momentum"] = momentum_of(config, pattern)
    return values


def _label(config: TrialConfig, searched: Mapping[str, float]) -> str:
    name = config.optimizer_name
    return f"{name} with searched {' and '.join(searched)}" if searched else name


def _pattern(pattern: Any, searched: Mapping[str, float]) -> Any:
    """Return an optimizer like the pattern, with some value for each searched name."""
    changes: dict[str, float] = {}
    if "weight_decay" in searched:
        changes["weight_decay"] = ANY_WEIGHT_DECAY
    if "momentum" in searched:
        changes[momentum_name(pattern)] = ANY_MOMENTUM
    return optimizer_like(pattern, **changes)


def _with_variables(optimizer: Any, searched: Mapping[str, float]) -> dict[str, tf.Variable]:
    """Replace the searched values by variables, before the loop is traced; return them by name."""
    import tensorflow as tf

    inner = getattr(optimizer, "inner_optimizer", optimizer)
    variables = {name: tf.Variable(value, dtype=tf.float32, trainable=False) for name, value in searched.items()}
    # Not through `__setattr__`: Keras would treat them as state of the optimizer, which is reset before each trial.
    if "weight_decay" in variables:
        vars(inner)["weight_decay"] = variables["weight_decay"]
    if "momentum" in variables:
        vars(inner)[momentum_name(inner)] = _SearchedMomentum(variables["momentum"])
    vars(inner)["get_config"] = partial(_config_of, inner, variables)  # a callback may save the model
    return variables


def _config_of(optimizer: Any, variables: Mapping[str, tf.Variable]) -> dict[str, Any]:
    """Return an optimizer's config with the values of its variables."""
    names = {"momentum": momentum_name(optimizer)} if "momentum" in variables else {}
    values = {names.get(name, name): float(variable) for name, variable in variables.items()}
    config: dict[str, Any] = {**type(optimizer).get_config(optimizer), **values}
    return config
