"""Make fresh optimizers, whose learning rate can be set, from names and from Keras optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from lrrt.variables import members
from lrrt.words import did_you_mean

if TYPE_CHECKING:
    import keras

WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")  # made of other optimizers
START_LR = 1e-3  # what a fresh optimizer holds until the loop sets the rate of its first step
EXCLUDED = "_exclude_from_weight_decay"  # where Keras stores the keys of variables that are not decayed
CACHES = (f"{EXCLUDED}_cache",)  # what an optimizer looked up about the variables of its model


def as_optimizers(
    optimizers: str | keras.Optimizer | Iterable[str | keras.Optimizer] | Mapping[str, str | keras.Optimizer],
) -> dict[str, keras.Optimizer]:
    """Return optimizers by label: a name is its own label, an optimizer has the lower-case name of its class,
    also inside a LossScaleOptimizer.

    They are patterns for `fresh_optimizer` and are never trained with, nor changed.

    Raises:
        TypeError: for what is neither a name nor a Keras optimizer.
        ValueError: for no optimizer at all, an unknown name, or two optimizers with one label.
    """
    import keras

    if isinstance(optimizers, str | keras.Optimizer) or _is_config(optimizers):
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
    return optimizer_like(pattern, learning_rate=learning_rate)


def optimizer_like(pattern: keras.Optimizer, **changes: Any) -> keras.Optimizer:
    """Make an unbuilt optimizer like the pattern, with these arguments in place of its own.

    It has what the pattern's `get_config` leaves out, too: which variables are excluded from weight decay, and the
    attributes of a class that does not name them there.
    """
    import keras

    if isinstance(pattern, keras.optimizers.LossScaleOptimizer):
        return _scaled(optimizer_like(pattern.inner_optimizer, **changes), pattern)
    rebuilt = type(pattern).from_config(pattern.get_config())
    made: keras.Optimizer = type(pattern).from_config({**pattern.get_config(), **changes})
    vars(made).update(_missing(pattern, rebuilt))
    return made


def scaled_for(model: keras.Model, optimizer: keras.Optimizer) -> keras.Optimizer:
    """Wrap the optimizer as `compile` wrapped the model's own: a mixed_float16 model needs its losses scaled."""
    from keras.optimizers import LossScaleOptimizer

    if isinstance(model.optimizer, LossScaleOptimizer) and not isinstance(optimizer, LossScaleOptimizer):
        return _scaled(optimizer, model.optimizer)
    return optimizer


def check_is_used(optimizer: keras.Optimizer, model: keras.Model) -> None:
    """Refuse a training whose steps moved nothing through the optimizer, since its rates then mean nothing.

    Raises:
        ValueError: if no step has reached the optimizer.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    is_skipping = inner is not optimizer and _number(optimizer.dynamic_scale) != optimizer.initial_scale
    if _number(inner._iterations) > 0 or is_skipping:
        return
    why = "its train_step uses another" if model.trainable_weights else "it has no trainable weights"
    raise ValueError(
        f"A training must move the model through model.optimizer, whose rate each step sets, but no step of "
        f"{type(model).__name__} reached that: {why}."
    )


def check_exclusions(patterns: Mapping[str, keras.Optimizer], model: keras.Model) -> None:
    """Refuse an optimizer that excludes the variables of another model than this from weight decay.

    Raises:
        ValueError: for the first such optimizer.
    """
    for label, pattern in patterns.items():
        known = {pattern._var_key(variable) for variable in model.trainable_variables}
        num_foreign = len(getattr(pattern, EXCLUDED, set()) - known)
        if num_foreign:
            raise ValueError(
                "`exclude_from_weight_decay` must name variables of the model that is trained, got "
                f"{num_foreign} of another model for {label!r}. Name them by `var_names` instead of `var_list`."
            )


def _number(variable: keras.Variable) -> float:
    """Return the value of a variable, which may lie on several devices."""
    import tensorflow as tf

    return float(tf.convert_to_tensor(variable.value))


def _scaled(optimizer: keras.Optimizer, like: keras.optimizers.LossScaleOptimizer) -> keras.Optimizer:
    config = {name: value for name, value in like.get_config().items() if name not in ("name", "inner_optimizer")}
    made: keras.Optimizer = type(like)(optimizer, **config)
    return made


def _missing(pattern: keras.Optimizer, rebuilt: keras.Optimizer) -> dict[str, Any]:
    """Return the attributes of the pattern that an optimizer rebuilt from its config lacks; its state is left out."""
    import keras

    of_every_optimizer = {*vars(keras.Optimizer(START_LR)), *CACHES}
    mine, others = vars(pattern), vars(rebuilt)
    return {
        name: value
        for name, value in mine.items()
        if name not in of_every_optimizer
        and not _is_same(value, others.get(name, others))
        and not _holds_variables(value)
    }


def _is_same(value: Any, other: Any) -> bool:
    try:
        return bool(value == other)
    except Exception:  # an array has no truth, and a user's object may raise anything
        return False


def _holds_variables(value: Any) -> bool:
    import keras
    import tensorflow as tf

    return any(isinstance(one, keras.Variable | tf.Variable) for one in members(value))


def _label(item: object) -> str:
    import keras

    if isinstance(item, keras.optimizers.LossScaleOptimizer):
        return _label(item.inner_optimizer)
    name = item["class_name"] if _is_config(item) else item
    return name.lower() if isinstance(name, str) else type(item).__name__.lower()


def _is_config(item: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether something is an optimizer's config as `compile` takes it."""
    return isinstance(item, Mapping) and "class_name" in item


def _pattern(item: str | keras.Optimizer | Mapping[str, Any]) -> keras.Optimizer:
    import keras

    if isinstance(item, keras.optimizers.LossScaleOptimizer):
        return _pattern(item.inner_optimizer)
    if _is_config(item):
        return _pattern(keras.optimizers.get(dict(item)))  # Keras changes what it is given
    if isinstance(item, keras.optimizers.MultiOptimizer):
        raise TypeError(
            "An optimizer must have one learning rate, which is set at each step, got a MultiOptimizer, each of whose "
            "optimizers has its own. Test each of these optimizers, for the whole model."
        )
    if isinstance(item, keras.Optimizer):
        return _checked(item)
    if isinstance(item, type) and issubclass(item, keras.Optimizer):
        raise TypeError(
            f"An optimizer must be a name or a Keras optimizer, got the class {item.__name__}. Call it: "
            f"{item.__name__}()."
        )
    if not isinstance(item, str):
        raise TypeError(f"An optimizer must be a name or a Keras optimizer, got {type(item).__name__}: {item!r:.80}.")
    known = known_optimizers()
    if item.lower() not in known:
        raise ValueError(f"An optimizer must be one that Keras knows, got {item!r}.{did_you_mean(item, known)}")
    return known[item.lower()]()


def _checked(optimizer: keras.Optimizer) -> keras.Optimizer:
    """Refuse an optimizer that no other can be made like."""
    try:
        fresh_optimizer(optimizer)
    except TypeError as error:
        raise TypeError(
            "An optimizer's get_config must return all that its constructor needs, since each run gets a fresh one, "
            f"got {type(optimizer).__name__}: {error}. Return them from get_config."
        ) from error
    return optimizer


def known_optimizers() -> dict[str, type[keras.Optimizer]]:
    """Return Keras's optimizers by lower-case name; `keras.optimizers.get` does not know all of them."""
    import keras

    classes = [optimizer for optimizer in vars(keras.optimizers).values() if isinstance(optimizer, type)]
    return {
        optimizer.__name__.lower(): optimizer
        for optimizer in classes
        if issubclass(optimizer, keras.Optimizer) and optimizer.__name__ not in WRAPPERS
    }
