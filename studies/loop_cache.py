"""Knows which compiled loop trains a trial: one for each value of the model's own hyperparameters, a few kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from lrrt.loops import Loops
from lrrt.training_loop import TrainingLoop
from studies.dimension import Value
from studies.momentum import momentum_of, moves_momentum
from studies.trial import TrialConfig, momentum_name

if TYPE_CHECKING:
    import tensorflow as tf

    from lrrt.fit_loop import FitLoop

KEPT_MODELS = 4  # whose loops are kept; each has its traced functions in memory
ANY_MOMENTUM, ANY_WEIGHT_DECAY = 0.9, 1e-4  # until a trial sets its own; not 0, at which an optimizer leaves them out


class LoopCache:
    """The loops of a task whose trials differ by their model, weight decay or momentum too.

    A trial's weight decay and momentum are variables of its loop, so that they make it trace no more than rates do. So
    is the momentum of one cycle, which changes from step to step.
    Another model must be traced anew; the loops of the last few models are kept, and share the data on the device.

    Args:
        loops: of the model with its default hyperparameters.
        make_loops: gives the loops of the model with other values of its own hyperparameters; None where it has none.
        max_models: how many models' loops are kept beside those.
    """

    def __init__(
        self,
        loops: Loops,
        make_loops: Callable[[Mapping[str, Value]], Loops] | None = None,
        *,
        max_models: int = KEPT_MODELS,
    ) -> None:
        self.loops = loops
        self._make_loops = make_loops
        self._max_models = max_models
        self._kept: OrderedDict[tuple[tuple[str, Value], ...], Loops] = OrderedDict()
        self._beside: dict[int, _Beside] = {}

    def loops_of(self, config: TrialConfig) -> Loops:
        """Return the loops of a trial's model.

        Raises:
            ValueError: where the trial has hyperparameters of its own, and there is nothing to build its model with.
        """
        if not config.own:
            return self.loops
        if self._make_loops is None:
            raise ValueError(f"A trial with {dict(config.own)} needs `make_loops` to build its model, got None.")
        if config.own not in self._kept:
            made = self._make_loops(dict(config.own))
            made.batches, made.validation = self.loops.batches, self.loops.validation
            self._kept[config.own] = made
            if len(self._kept) > self._max_models:
                self._forget(self._kept.popitem(last=False)[1])
        self._kept.move_to_end(config.own)
        return self._kept[config.own]

    def loop_of(self, config: TrialConfig) -> TrainingLoop:
        """Return the loop that trains a trial, its optimizer's weight decay set; `train` is given the momentum.

        Raises:
            ValueError: for an optimizer, a batch size or own hyperparameters that the loops do not have.
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
        loop = loops.get(label, config.batch_size)
        variables = self._of(loop).variables
        if searched and not variables:
            variables.update(_with_variables(loop.optimizer, searched))
            loop.momentum = variables.get("momentum")
        for name, variable in variables.items():
            variable.assign(searched[name])
        return loop

    def fit_loop_of(self, loop: TrainingLoop) -> FitLoop:
        """Return what trains through `model.fit` in place of a compiled loop."""
        from lrrt.fit_loop import FitLoop

        beside = self._of(loop)
        if beside.fitting is None:
            beside.fitting = FitLoop(loop, eagerly=bool(beside.untraceable))
        return beside.fitting

    def why_not_compiled(self, loop: TrainingLoop) -> str:
        """Say why a loop's model must be trained through `model.fit`; nothing where it need not.

        Raises:
            MemoryError, tf.errors.ResourceExhaustedError: where there is no room for the model.
        """
        import tensorflow as tf

        if loop.model.run_eagerly:
            return "the model was compiled with run_eagerly=True"
        beside = self._of(loop)
        if not beside.untraceable:
            try:
                loop.trace()
                return ""
            except (MemoryError, tf.errors.ResourceExhaustedError):
                raise
            except Exception as error:  # the model's train_step is the user's code, which may raise anything
                beside.untraceable = f"{type(error).__name__}: {error}".splitlines()[0]
        return f"the model's train_step cannot run in a graph ({beside.untraceable})"

    @contextmanager
    def room_for(self, config: TrialConfig) -> Iterator[None]:
        """Where the block runs out of memory, let go of the loop of its trial, so that the next has its room."""
        import tensorflow as tf

        try:
            yield
        except (MemoryError, tf.errors.ResourceExhaustedError):
            self._drop(config)
            raise

    def _drop(self, config: TrialConfig) -> None:
        if config.own:
            found = self._kept.pop(config.own, None)
            if found is not None:
                self._forget(found)
            return
        label = _label(config, _searched(config, self.loops.patterns[config.optimizer_name]))
        if label in self.loops.patterns:
            self._beside.pop(id(self.loops.get(label, config.batch_size)), None)
            self.loops.drop(label, config.batch_size)

    def _forget(self, loops: Loops) -> None:
        self._beside = {key: kept for key, kept in self._beside.items() if kept.loop.model is not loops.model}

    def _of(self, loop: TrainingLoop) -> _Beside:
        return self._beside.setdefault(id(loop), _Beside(loop))


@dataclass(slots=True)
class _Beside:
    """What is kept beside a loop: it is changed as the loop is used. It holds the loop, whose id would be used again.

    Attributes:
        loop: it.
        variables: in place of what is searched, by name.
        fitting: what trains through `model.fit` in its place.
        untraceable: why its model cannot run in a graph; "" where it can, or where that is not known.
    """

    loop: TrainingLoop
    variables: dict[str, tf.Variable] = field(default_factory=dict)
    fitting: FitLoop | None = None
    untraceable: str = ""


class _SearchedMomentum:
    """A momentum that is a variable; optimizers ask whether it is 0 while they are traced, and it is not."""

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
    """Return what a trial changes of its optimizer beside the rate, by name."""
    found = {} if config.weight_decay is None else {"weight_decay": config.weight_decay}
    if moves_momentum(config, pattern):
        found["momentum"] = momentum_of(config, pattern)
    return found


def _label(config: TrialConfig, searched: Mapping[str, float]) -> str:
    name = config.optimizer_name
    return f"{name} with searched {' and '.join(searched)}" if searched else name


def _pattern(pattern: Any, searched: Mapping[str, float]) -> Any:
    """Return an optimizer like the pattern that has what is searched, whatever its value."""
    config = pattern.get_config()
    if "weight_decay" in searched:
        config["weight_decay"] = ANY_WEIGHT_DECAY
    if "momentum" in searched:
        config[momentum_name(pattern)] = ANY_MOMENTUM
    return type(pattern).from_config(config)


def _with_variables(optimizer: Any, searched: Mapping[str, float]) -> dict[str, tf.Variable]:
    """Put variables in place of what is searched, before the loop is traced; return them by name."""
    import tensorflow as tf

    inner = getattr(optimizer, "inner_optimizer", optimizer)
    variables = {name: tf.Variable(value, dtype=tf.float32, trainable=False) for name, value in searched.items()}
    # Past `__setattr__`: Keras would take them for state of the optimizer, which is reset before each trial.
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
