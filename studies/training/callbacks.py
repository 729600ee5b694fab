"""Make the Keras callbacks that a user brings to every trial, refuse some of them, and call their hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from lrrt.hyper_models import one_argument
from studies.trial_config import TrialConfig

if TYPE_CHECKING:
    import keras

    from lrrt.fit_loop import FitLoop

CallbackFactory = Callable[..., Sequence[Any]]
"""(config) -> list of fresh keras.callbacks.Callback, or () -> one; called for every trial."""

A_CONFIG = "a trial's config"

REFUSED = {
    "ReduceLROnPlateau": "the rate is the trial's schedule's alone",
    "LearningRateScheduler": "the rate is the trial's schedule's alone",
    "BackupAndRestore": "a trial that is interrupted goes on by checkpoints of its own",
}
BATCH_HOOKS = tuple(f"on_{of}batch_{when}" for of in ("", "train_", "test_") for when in ("begin", "end"))
# These have hooks at batches in order to save after some of them, but do nothing there if they save by epochs.
BY_EPOCH = ("ModelCheckpoint", "OrbaxCheckpoint")
# A training ends at a loss that is not finite in any case.
NEEDLESS = ("TerminateOnNaN",)


class CallbackMaker:
    """Make the callbacks of each trial.

    Args:
        factory: (config) or () -> a list of fresh callbacks; None for trials without callbacks.
    """

    def __init__(self, factory: CallbackFactory | None) -> None:
        self._factory = factory
        self._made: WeakValueDictionary[int, Any] = WeakValueDictionary()  # by identity: a callback may be unhashable

    def make(self, config: TrialConfig) -> list[keras.callbacks.Callback]:
        """Make the callbacks of a trial.

        Raises:
            TypeError: if the factory needs an argument other than a config, or returns no list of callbacks.
            ValueError: for a callback that was made before, or that does the trial's own work.
        """
        if self._factory is None:
            return []
        made = _called(self._factory, config)
        for one in made:
            _check_is_not_refused(one)
            if self._made.get(id(one)) is one:
                raise ValueError(
                    "`callbacks` must make new callbacks for each trial, since a callback remembers what its trial "
                    f"showed, got one {type(one).__name__} twice. Make it inside the function."
                )
            self._made[id(one)] = one
        return made


def want_batches(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    """Say whether a callback has hooks at every batch, which the compiled loop cannot call."""
    return any(_wants_batches(one) for one in callbacks)


class Hooks:
    """The hooks of a trial's callbacks, called as `fit` calls them, with the loop's optimizer in the model.

    Args:
        callbacks: fresh callbacks.
        loop: the trial's loop; it reports batches while the hooks are `listening`.
        epochs: epochs of the whole trial.
        steps: batches in each of them.

    Raises:
        ValueError: from every hook, if a callback sets the learning rate.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], loop: FitLoop, *, epochs: int, steps: int
    ) -> None:
        from keras.callbacks import CallbackList

        self._loop = loop
        self.callbacks = CallbackList(list(callbacks), verbose=0, epochs=epochs, steps=steps)
        self.callbacks.set_model(loop.model)
        loop.model.stop_training = False

    @property
    def any(self) -> bool:
        """Whether there are any callbacks."""
        return bool(self.callbacks.callbacks)

    @property
    def want_to_stop(self) -> bool:
        """Whether a callback has set `model.stop_training`."""
        return bool(self._loop.model.stop_training)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let the loop report its batches to these hooks while the block runs."""
        before, self._loop.tell = self._loop.tell, self.tell
        try:
            yield
        finally:
            self._loop.tell = before

    def tell(self, hook: str, *arguments: Any) -> None:
        """Call a hook of every callback: `tell("on_epoch_end", 0, {"loss": 0.5})`."""
        if self.any:
            with self._loop.running(), self._unchanged_rate():
                save_with_its_optimizer(self._loop.model)
                getattr(self.callbacks, hook)(*arguments)

    @contextmanager
    def _unchanged_rate(self) -> Iterator[None]:
        before = float(self._loop.optimizer.learning_rate)
        yield
        after = float(self._loop.optimizer.learning_rate)
        if after != before:
            raise ValueError(
                f"A callback must leave the learning rate to the trial's schedule, but one set it from {before:g} to "
                f"{after:g}. Leave it out, or search other schedules."
            )


def as_logs(training: Mapping[str, Any], validation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `logs` of `on_epoch_end`, under `fit`'s names."""
    return {**training, **{f"val_{name}": value for name, value in validation.items()}}


def numbers(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Return logs with each single number as a float, as `fit` gives them; what holds several stays."""
    return {name: float(value) if np.ndim(value) == 0 else value for name, value in logs.items()}


def save_with_its_optimizer(model: keras.Model) -> None:
    """Make the model save its present optimizer, not the one that it was compiled with."""
    import keras

    def get_compile_config() -> dict[str, Any]:
        config: dict[str, Any] = type(model).get_compile_config(model)
        return {**config, "optimizer": keras.optimizers.serialize(model.optimizer)} if config else config

    model.get_compile_config = get_compile_config


def _called(factory: CallbackFactory, config: TrialConfig) -> list[keras.callbacks.Callback]:
    import keras

    takes_config = one_argument(factory, "`callbacks`", A_CONFIG) is not None
    made = factory(config) if takes_config else factory()
    if not isinstance(made, list | tuple) or not all(isinstance(one, keras.callbacks.Callback) for one in made):
        raise TypeError(
            "`callbacks` must be a function, (config) or (), that returns a list of fresh keras.callbacks.Callback, "
            f"got one that returns {made!r:.80}."
        )
    return list(made)


def _check_is_not_refused(callback: keras.callbacks.Callback) -> None:
    for kind in type(callback).__mro__:
        if kind.__name__ in REFUSED and kind.__module__.startswith("keras."):
            raise ValueError(
                f"A callback must leave to the trial what is the trial's: {REFUSED[kind.__name__]}, got "
                f"{type(callback).__name__}. Leave it out."
            )


def _wants_batches(callback: keras.callbacks.Callback) -> bool:
    import keras

    names = {kind.__name__ for kind in type(callback).__mro__ if kind.__module__.startswith("keras.")}
    if names & set(NEEDLESS) or (names & set(BY_EPOCH) and callback.save_freq == "epoch"):
        return False
    hooks = (getattr(callback, hook) for hook in BATCH_HOOKS)
    return any(getattr(hook, "__func__", hook) not in vars(keras.callbacks.Callback).values() for hook in hooks)
