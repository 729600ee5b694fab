"""Check that a task and a config agree: names, optimizers, and the lengths of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.config.tables import StageConfig
from pipeline.failures import ConfigError, TaskError
from studies import Dimension
from studies.schedules.schedule import check_all_fit
from studies.space.model_hyperparameters import ModelSpace
from studies.trial_config import is_reserved

_INSTEAD = {
    "optimizer": 'give "optimizers = [..]" under [range_test]',
    "batch_size": 'give "batch_sizes = [..]" under [study]',
    "weight_decay": 'give "weight_decay = [low, high]" under [study]',
    "momentum": 'give "momentum = [low, high]" under [study]',
    "schedule": 'give "schedules = [..]" under [study]',
}


def with_dimensions(of_model: ModelSpace, of_data: Sequence[Dimension]) -> ModelSpace:
    """Return the hyperparameters of the model and of the data; one that both have is searched once.

    Raises:
        ValueError: for two different ones of one name.
    """
    every = {dimension.name: dimension for dimension in of_model.dimensions}
    for dimension in of_data:
        if every.setdefault(dimension.name, dimension) != dimension:
            raise ValueError(
                f"A hyperparameter of model and data must be declared alike in both, got {dimension.name!r} as "
                f"{every[dimension.name]} and {dimension}."
            )
    return replace(of_model, dimensions=tuple(every.values()))


def check_names(config: StageConfig, own: ModelSpace) -> None:
    """Refuse hyperparameters of the model with names of ours, and a choice of optimizers that the config does not make.

    Optimizers that the config names stand in place of the model's choice.

    Raises:
        TaskError: for such a name.
        ConfigError: for such a choice.
    """
    builder = config.task.build_model
    taken = [dimension.name for dimension in own.dimensions if is_reserved(dimension.name)]
    if taken:
        instead = f" If it is what lrrt means by it, {_INSTEAD[taken[0]]}." if taken[0] in _INSTEAD else ""
        raise TaskError(
            f"Hyperparameters of {builder} must have other names than lrrt's own, got {taken[0]!r}, which changes the "
            f"model.{instead}"
        )
    if own.optimizers and "optimizers" not in config.range_test.model_fields_set:
        names = ", ".join(f'"{name}"' for name in own.optimizers)
        raise ConfigError(
            f"[range_test] optimizers must say which optimizers are searched if {builder} chooses among several, got "
            f"{names} there and nothing in the config. Write: optimizers = [{names}]"
        )


def check_lengths(config: StageConfig, lengths: Mapping[int, int]) -> None:
    """Refuse trials with too few steps for a schedule that may be proposed, such as one with the most cycles.

    Args:
        config: with the schedules and the epochs.
        lengths: the batches of an epoch, by batch size.

    Raises:
        ConfigError: for the first batch size with too few.
    """
    study = config.study
    for batch_size, num_batches in lengths.items():
        num_steps = study.epochs * num_batches
        try:
            check_all_fit(study.schedules, num_steps, searches_warmup=study.searches_warmup)
        except ValueError as error:
            raise ConfigError(
                f"[study] epochs must be enough for every schedule that may be proposed, but {study.epochs} of "
                f"them in batches of {batch_size} are {num_steps} steps. {error}"
            ) from None
