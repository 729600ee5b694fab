"""Define a study whose trials KerasTuner proposes, and which KerasTuner can open when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from studies.engines.arms import ARMS
from studies.engines.arms_engine import in_arms
from studies.engines.keras_tuner_engine import keras_tuner_engine
from studies.engines.observation import Engine
from studies.space.differences import ForeignStudy
from studies.space.search_space import SearchSpace
from studies.storage.urls import parsed
from studies.storage.whole_file import is_leftover
from studies.study import Study
from studies.trainer import Trainer
from studies.trial import TrialResult
from studies.work.cross_validation import CrossValidator
from studies.work.watcher import Watcher

DATABASE = "study.db"


class KerasTunerStudy(Study):
    """A study whose trials one of KerasTuner's oracles proposes; the first ones have rates that range tests suggest.

    It is stored in an Optuna storage like every study. When a run ends, KerasTuner's project folder is written from
    it, so that KerasTuner's `reload()`, `results_summary()` and `get_best_hyperparameters()` open it.

    Args:
        space: the space that is searched.
        directory: KerasTuner's directory.
        name: the name of the project in the directory, and of the study.
        sampler: "random", "bayesian" or "grid", which are KerasTuner's, "tpe", which is Optuna's, or "arms", as for
            `studies.OptunaStudy`.
        seed: the seed of the oracle's choices, together with the number of the trial.
        storage: a URL; by default SQLite in the project's folder.
        options: all other arguments of `studies.Study`. The oracle sees a score to which the excess of the gap over
            `max_gap` is added.

    Raises:
        ValueError: for an unknown sampler, or a name that is no plain name.
        ForeignStudy: if the folder has a study of another space, or files that are no study of lrrt.
        NoSuchStudy, StorageUnreachable, StorageOfAnotherVersion: see `studies.Study`.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        directory: Path | str,
        name: str = "lrrt",
        sampler: str = "random",
        seed: int = 0,
        storage: str | None = None,
        **options: Any,
    ) -> None:
        if name in ("", ".", "..") or Path(name).name != name:
            raise ValueError(f"`name` must be a plain name without a path, got {name!r}. Put the path in `directory`.")
        self.folder = Path(directory) / name
        if storage is None:
            _check_folder(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            storage = url_of(self.folder / DATABASE)
        engine: Engine
        if sampler == ARMS:
            space, engine = in_arms(space, seed=seed)
        else:
            engine = keras_tuner_engine(space, sampler=sampler, seed=seed)
        super().__init__(space, engine, storage=storage, name=name, **options)

    def run(
        self, trainer: Trainer | CrossValidator, *, num_trials: int | None = None, watcher: Watcher | None = None
    ) -> Sequence[TrialResult]:
        """Train until `num_trials` trials have ended, and write KerasTuner's folder; see `studies.Study.run`."""
        results = super().run(trainer, num_trials=num_trials, watcher=watcher)
        self.write_keras_tuner_project(self.folder)
        return results


def url_of(file: Path) -> str:
    """Return the URL of a SQLite file, whatever its name."""
    # SQLAlchemy does not quote a space in a path, and many readers of URLs refuse it.
    return URL.create("sqlite", database=str(file.resolve())).render_as_string().replace(" ", "%20")


def with_absolute_file(url: str) -> str:
    """Return the URL of a storage so that it names the same SQLite file from any working directory."""
    parts = parsed(url)
    file = parts.database or ""
    is_file = parts.get_backend_name() == "sqlite" and file and file != ":memory:" and not file.startswith("file:")
    return url_of(Path(file)) if is_file and not parts.query else url


def _check_folder(folder: Path) -> None:
    """Refuse a folder with files of something else."""
    others = [file.name for file in folder.iterdir() if not is_leftover(file.name)] if folder.exists() else []
    if others and DATABASE not in others:
        raise ForeignStudy(f"{folder} must be empty or hold a study of lrrt, but it holds something else: {others[0]}.")
