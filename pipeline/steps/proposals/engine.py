"""Make the engine that a config asks for."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.study_table import StudyConfig
from studies import SearchSpace
from studies.engines.arms import ARMS
from studies.engines.arms_engine import ArmsEngine, RangesOf, ranges_in
from studies.engines.keras_tuner_engine import keras_tuner_engine
from studies.engines.observation import Engine, Values
from studies.engines.optuna_engine import OptunaEngine


def engine_of(config: StudyConfig, space: SearchSpace, first: Sequence[Values], ranges_of: RangesOf | None) -> Engine:
    """Return the engine.

    Args:
        config: with the engine's name, its sampler and the seed.
        space: the space that is searched.
        first: values that are proposed first.
        ranges_of: finds an optimizer's bounds when a study with arms turns to it; None if it proposes nothing.
    """
    if config.sampler == ARMS:
        return ArmsEngine(space, ranges_of or ranges_in(space), seed=config.seed, first=first)
    make_engine = OptunaEngine if config.engine == "optuna" else keras_tuner_engine
    return make_engine(space, sampler=config.sampler, seed=config.seed, first=first)
