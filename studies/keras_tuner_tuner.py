"""Knows the KerasTuner tuner whose trials a study trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_tuner

from studies.engines.keras_tuner_oracles import OBJECTIVE, Remembering


class StudyTuner(keras_tuner.engine.base_tuner.BaseTuner):
    """A tuner whose trials the study trains.

    Args:
        oracle: proposes them.
        train: trains one; returns the score to tell.
        directory: KerasTuner's directory.
        name: the project's name in it.
    """

    def __init__(self, oracle: Remembering, train: Callable[[Any], float], *, directory: str, name: str) -> None:
        self._train = train
        super().__init__(oracle, directory=directory, project_name=name)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Train a trial and return its score by the objective's name."""
        return {OBJECTIVE: self._train(trial)}

    def reload(self) -> None:
        """Read nothing: the study gives the oracle the trials that have ended."""
