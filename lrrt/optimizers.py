"""Knows how names and Keras optimizers become fresh optimizers whose learning rate can be set."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")  # made of other optimizers
START_LR = 1e-3  # what a fresh optimizer holds until the loop sets the rate of its first step


def as_optimizers(
    optimizers: str | keras.Optimizer | Iterable[str | keras.Optimizer] | Mapping[str, str | keras.Optimizer],
) -> dict[str, keras.Optimizer]:
    """Return optimizers by label: a name is its own label, an optimizer has the lower-case name of its class.

    They are patterns for `fresh_optimizer` and are never trained with, nor changed.

    Raises:
        TypeError: for what is neither a name nor a Keras optimizer.
        ValueError: for no optimizer at all, an unknown name, or two optimizers with one label.
    """
    import keras

    if isinstance(optimizers, str | keras.Optimizer):
        optimizers = [optimizers]
    if not isinstance(optimizers, Iterable):
        raise TypeError(f"`optimizers` must be names, Keras optimizers or {{label: either}}, got {optimizers!r:.80}.")
    named = optimizers.items() if isinstance(optimizers, Mapping) else [(_label(item), item) for item in optimizers]
    patterns: dict[str, keras.Optimizer] = {}
    for label, item in named:
        if label in patterns:
            raise ValueError(
                f"Each optimizer must have a label of its own, got {label!r} twice. Pass {{label: optimizer}} instead."
            )
        patterns[label] = _pattern(item)
    if not patterns:
        raise ValueError("`optimizers` must name at least one optimizer, got none.")
    return patterns


def fresh_optimizer(pattern: keras.Optimizer, learning_rate: object = START_LR) -> keras.Optimizer:
    """Make an unbuilt optimizer like the pattern, with this rate or `LearningRateSchedule` in place of its own."""
    made: keras.Optimizer = type(pattern).from_config({**pattern.get_config(), "learning_rate": learning_rate})
    return made


def scaled_for(model: keras.Model, optimizer: keras.Optimizer) -> keras.Optimizer:
    """Wrap the optimizer as `compile` wrapped the model's own: a mixed_float16 model needs its losses scaled."""
    from keras.optimizers import LossScaleOptimizer

    if isinstance(model.optimizer, LossScaleOptimizer) and not isinstance(optimizer, LossScaleOptimizer):
        return LossScaleOptimizer(optimizer)
    return optimizer


def _label(item: object) -> str:
    return item.lower() if isinstance(item, str) else type(item).__name__.lower()


def _pattern(item: str | keras.Optimizer) -> keras.Optimizer:
    import keras

    if isinstance(item, keras.optimizers.LossScaleOptimizer):
        return item.inner_optimizer
    if isinstance(item, keras.Optimizer):
        return item
    if not isinstance(item, str):
        raise TypeError(f"An optimizer must be a name or a Keras optimizer, got {type(item).__name__}: {item!r:.80}.")
    known = _known()
    if item.lower() not in known:
        close = difflib.get_close_matches(item.lower(), known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"An optimizer must be one that Keras knows, got {item!r}.{hint}")
    return known[item.lower()]()


def _known() -> dict[str, type[keras.Optimizer]]:
    """Return Keras's optimizers by lower-case name; `keras.optimizers.get` does not know all of them."""
    import keras

    classes = [found for found in vars(keras.optimizers).values() if isinstance(found, type)]
    return {
        found.__name__.lower(): found
        for found in classes
        if issubclass(found, keras.Optimizer) and found.__name__ not in WRAPPERS
    }
