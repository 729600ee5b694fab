"""Make the search space of a config before any range test, with every rate that an optimizer might need."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.tables import StageConfig
from studies import Dimension, OptimizerRange, SearchSpace
from studies.engines.arms_engine import ANY_RATE


def untested_space(config: StageConfig, own: Sequence[Dimension]) -> SearchSpace:
    """Return the space, whose names are those of the space inside bounds.

    Args:
        config: what is searched.
        own: the hyperparameters of the user's model and data.
    """
    sizes = config.tested_batch_sizes if len(config.tested_batch_sizes) > 1 else (None,)
    study = config.study
    return SearchSpace(
        tuple(
            OptimizerRange(name, *ANY_RATE, batch_size=size) for name in config.range_test.optimizers for size in sizes
        ),
        study.schedules,
        study.batch_sizes,
        study.searches_warmup,
        study.weight_decay,
        study.momentum,
        tuple(own),
    )
