"""Refuse data that does not fit the model, before anything is trained."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from lrrt.arrays import ArrayBatches
from lrrt.labels import check_labels, check_shapes
from lrrt.mismatches import batch_remedy, label_remedy, reason_of, shapes_of, shown
from lrrt.parts import Batch
from lrrt.steps import has_call, has_step_of_its_own, is_stateful
from lrrt.variables import states_of
from lrrt.words import did_you_mean

if TYPE_CHECKING:
    import keras

    from lrrt.batches import Batches


UNKNOWN_METRIC = re.compile(r"Could not interpret metric identifier: (\w+)")  # Keras looks it up in the first step


def fixed_batch_size(model: keras.Model) -> int | None:
    """Return the samples that each batch of a model must have, if its inputs or the states of its layers say so."""
    inputs = model.inputs if model.built and getattr(model, "inputs", None) else []
    tensors = [*inputs, *(state for layer in model._flatten_layers() if layer.built for state in states_of(layer))]
    sizes = [tensor.shape[0] for tensor in tensors if tensor.shape[0] is not None]
    return int(sizes[0]) if sizes else None


def build_size(model: keras.Model, batches: Batches) -> int:
    """Return the samples of the batch that a model is built and tried with; at least 2, if the model leaves it open.

    They are as many as no other axis of the data has, since a loss may take rows for columns that are as many.
    """
    fixed = fixed_batch_size(model)
    return fixed or (batches.batch_size if is_stateful(model) else 0) or _other_than_widths(batches)


def required_batch_size(model: keras.Model, batches: Batches) -> int | None:
    """Return the samples that each batch must have; None if a model takes any number of them.

    Inputs may name a number that only some layers hold to, so that a batch of another size is tried.
    """
    import keras

    fixed = fixed_batch_size(model)
    if fixed is None or is_stateful(model) or not isinstance(batches, ArrayBatches) or not has_call(model):
        return fixed if is_stateful(model) else None
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batches.sample(1 if fixed > 1 else 2))
    try:
        model(x, training=False)
    except Exception:  # layers of the user's own may raise anything
        return fixed
    return None


def predicted(model: keras.Model, batch: Batch, name: str) -> Any:
    """Return what a model predicts for a batch, having tried whether its loss takes that.

    Raises:
        ValueError: for a batch that the model's inputs or its loss do not take, saying what is wrong.
    """
    import keras

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    is_plain = not has_step_of_its_own(model)
    if is_plain and y is None and model.loss is not None:
        raise ValueError(
            f"{name} must have labels, since the model is compiled with a loss, got x alone. Pass (x, y); for an "
            "autoencoder (x, x)."
        )
    try:
        _check_number(model, x)
        y_pred = model(x, training=False)
    except Exception as error:  # layers of the user's own may raise anything
        if _fits(model, x):
            raise ValueError(
                f"The model must run on a batch of {name}, whose shape {shapes_of(x)} is that of its inputs, but it "
                f"raised {reason_of(error)}."
            ) from error
        inputs = shapes_of(getattr(model, "inputs", None) or []) if model.built else ""
        expected = f", for inputs of shape {inputs}" if inputs else ""
        raise ValueError(
            f"{name} must be what the model's inputs take, got x of shape {shapes_of(x)}{expected} "
            f"({reason_of(error)}).{batch_remedy(model, x)}"
        ) from error
    if is_plain:
        _check_is_output(model, y_pred)
        try:
            _trace_loss(model, x, y, y_pred, sample_weight)
        except Exception as error:  # as may losses
            weights = "" if sample_weight is None else f" and weights of shape {shapes_of(sample_weight)}"
            raise ValueError(
                f"{name} must have labels{' and weights' if weights else ''} that the model's loss takes, got y of "
                f"shape {shapes_of(y)}{weights} for outputs of shape {shapes_of(y_pred)} ({reason_of(error)})."
                f"{label_remedy(y, y_pred)}"
            ) from error
        check_shapes(model, y, y_pred, name)
    return y_pred


def show_to_metrics(model: keras.Model, batch: Batch, y_pred: Any, name: str) -> None:
    """Let the compiled metrics see a batch, which makes their variables.

    Raises:
        ValueError: for labels or weights that they do not take, or a metric's unknown name, saying what is wrong.
    """
    import keras
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    try:
        model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
    except (AttributeError, LookupError, TypeError, ValueError, tf.errors.OpError) as error:  # of wrong labels
        unknown = UNKNOWN_METRIC.match(str(error))
        if unknown:
            hint = did_you_mean(unknown[1], ["accuracy", *filter(str.islower, dir(keras.metrics))])
            raise ValueError(f"The model's metrics must be ones that Keras knows, got {unknown[1]!r}.{hint}") from error
        raise ValueError(
            f"{name} must have labels that the model's metrics take, got y of {shown(y)} for outputs of "
            f"{shown(y_pred)} ({reason_of(error)}).{label_remedy(y, y_pred)}"
        ) from error


def _other_than_widths(batches: Batches) -> int:
    import keras

    widths = {width for spec in keras.tree.flatten(batches.element_spec) for width in spec.shape[1:]}
    return next(size for size in itertools.count(2) if size not in widths)


def _trace_loss(model: keras.Model, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> None:
    """Build the compiled loss and try it, in a graph, if Keras never takes the rows of one y for several y."""
    import tensorflow as tf

    def loss() -> Any:
        return model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)

    tf.function(loss, autograph=False).get_concrete_function()


def check_data(model: keras.Model, batches: Batches | None, name: str) -> None:
    """Refuse data that does not fit a complete model, and class labels that the model has no output for.

    Such labels raise on a CPU, and give NaN on a GPU.

    Raises:
        ValueError: saying what does not fit.
    """
    if batches is None or not has_call(model):
        return
    _check_multiple(required_batch_size(model, batches), batches, name)
    try:
        y_pred = predicted(model, batches.sample(build_size(model, batches)), name)
    except ValueError:
        if not has_step_of_its_own(model):
            raise
        return  # its own step may take what its call does not
    if isinstance(batches, ArrayBatches) and len(batches.arrays) > 1 and not has_step_of_its_own(model):
        check_labels(model, batches.arrays[1], y_pred, name)


def check_fixed_size(required: int | None, batch_size: int) -> None:
    """Refuse to train in batches of another size than a model's `required_batch_size`.

    Raises:
        ValueError: naming both sizes.
    """
    if required is not None and batch_size != required:
        raise ValueError(f"`batch_size` must be {required}, since the model takes no other batches, got {batch_size}.")


def _fits(model: keras.Model, x: Any) -> bool:
    """Say whether a batch has as many arrays as the model has inputs, of their shapes and of text if they are."""
    import keras

    inputs, arrays = getattr(model, "inputs", None) if model.built else None, keras.tree.flatten(x)
    if not inputs or len(arrays) != len(inputs):
        return False
    return all(
        one.shape[1:].is_compatible_with(tensor.shape[1:]) and (one.dtype == "string") is (tensor.dtype == "string")
        for one, tensor in zip(arrays, inputs, strict=True)
    )


def _check_number(model: keras.Model, x: Any) -> None:
    """Refuse more arrays than a model has inputs, of which Keras would take the first ones."""
    import keras

    inputs, arrays = getattr(model, "inputs", None) if model.built else None, keras.tree.flatten(x)
    if inputs and isinstance(x, tuple | list) and len(arrays) > len(inputs):
        raise ValueError(f"{len(arrays)} arrays for {len(inputs)} inputs")


def _check_multiple(required: int | None, batches: Batches, name: str) -> None:
    """Refuse data whose last batch would be shorter than the model takes."""
    if required and isinstance(batches, ArrayBatches) and batches.num_samples % required:
        raise ValueError(
            f"{name} must have a multiple of {required} samples, since the model takes no other batches, got "
            f"{batches.num_samples}. Leave {batches.num_samples % required} out."
        )


def _check_is_output(model: keras.Model, y_pred: Any) -> None:
    import keras

    others = [one for one in keras.tree.flatten(y_pred) if not hasattr(one, "shape")]
    if others:
        raise ValueError(
            f"A model must return tensors when it is called, got {type(others[0]).__name__} from "
            f"{type(model).__name__}. Return the output at the end of its call."
        )
