"""Refuse models whose own steps no loop can train or validate, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrrt.matching import build_size
from lrrt.mismatches import reason_of
from lrrt.one_batch import BrokenStep, run_on_batch
from lrrt.steps import has_step_of_its_own
from lrrt.variables import assign, members, read

if TYPE_CHECKING:
    import keras

    from lrrt.batches import Batches


def check_optimizers(model: keras.Model) -> None:
    """Refuse a model that holds optimizers beside its compiled one, as a GAN does, or has one for each group of layers.

    Raises:
        ValueError: naming them.
    """
    import keras

    if isinstance(getattr(model.optimizer, "inner_optimizer", model.optimizer), keras.optimizers.MultiOptimizer):
        raise ValueError(
            "A model must train with one optimizer for all of its layers, whose rate each step sets, got one compiled "
            "with a MultiOptimizer. Compile it with one optimizer; which one does not matter."
        )
    others = [
        name
        for name, value in vars(model).items()
        for one in ([] if name.startswith("_") else members(value))
        if isinstance(one, keras.Optimizer) and one is not model.optimizer
    ]
    if others:
        raise ValueError(
            "A model must train with the one optimizer of model.compile(optimizer=...), whose rate each step "
            f"sets, got {type(model).__name__} with {len(others)} of its own: {', '.join(dict.fromkeys(others))}."
        )


def check_test_step(model: keras.Model, validation: Batches | None) -> None:
    """Try a `test_step` on a batch of validation data, if a model's class has a `train_step` or a loss of its own.

    A class that makes its loss in its `train_step` alone trains, and fails when it is validated.

    Raises:
        ValueError: saying what it raises.
    """
    if validation is None or not has_step_of_its_own(model):
        return
    values = read(model.metrics_variables)
    try:
        run_on_batch(model, model.test_step, validation.sample(build_size(model, validation)))
    except BrokenStep:
        raise
    except Exception as error:  # the user's code may raise anything
        raise ValueError(
            "A model must have a test_step that takes the validation data and returns its loss, got one of "
            f"{type(model).__name__} that raises {reason_of(error)}. If train_step makes the loss, test_step "
            "must do so, too."
        ) from error
    finally:
        assign(model.metrics_variables[: len(values)], values)
