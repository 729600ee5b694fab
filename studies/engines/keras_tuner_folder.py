"""Write a study as KerasTuner's project folder, for KerasTuner's tools."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras_tuner

from studies.engines.keras_tuner_oracles import RandomOracle
from studies.engines.observation import Observation
from studies.objective import Objective
from studies.space.search_space import SearchSpace
from studies.trial import TrialResult


def write_project(
    folder: Path, space: SearchSpace, objective: Objective, trials: Sequence[tuple[TrialResult, Observation]]
) -> None:
    """Write the folder that a tuner with this directory and project name reloads.

    Args:
        folder: the project's folder; its earlier trials are replaced.
        space: the space that was searched.
        objective: of the study.
        trials: the trials that have ended.
    """
    for written in folder.glob("trial_*"):
        shutil.rmtree(written)
    for written in (folder / "oracle.json", folder / "tuner0.json"):
        written.unlink(missing_ok=True)
    oracle = RandomOracle(space, seed=0, objective=objective)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it reloads
        tuner = keras_tuner.engine.base_tuner.BaseTuner(oracle, directory=str(folder.parent), project_name=folder.name)
    for result, observation in trials:
        trial = oracle.add(observation, step=result.best_epoch or 0, message=result.error)
        trial.save(str(Path(tuner.get_trial_dir(trial.trial_id)) / "trial.json"))
    tuner.save()
