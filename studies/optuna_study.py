"""A study whose trials Optuna proposes."""

from __future__ import annotations

from typing import Any, Self

from studies.engines.optuna_engine import OptunaEngine
from studies.space.search_space import SearchSpace
from studies.storage.stored_study import SPACE, stored_attributes
from studies.study import Study


class OptunaStudy(Study):
    """A study whose trials one of Optuna's samplers proposes; the first ones are what the range tests suggest.

    Args:
        space: what is searched.
        sampler: "tpe", "random", "qmc", or, if their packages are installed, "gp" (torch) or "cmaes" (cmaes).
        seed: what the sampler's choices come from, with the number of the trial.
        options: all others of `studies.Study`.

    Raises:
        ValueError: for an unknown sampler.
        ImportError: if a package that the sampler needs is not installed.
        ForeignStudy, NoSuchStudy, StorageUnreachable, StorageOfAnotherVersion: see `studies.Study`.
    """

    def __init__(self, space: SearchSpace, *, sampler: str = "tpe", seed: int = 0, **options: Any) -> None:
        super().__init__(space, OptunaEngine(space, sampler=sampler, seed=seed), **options)

    @classmethod
    def join(cls, storage: str, *, name: str = "lrrt", **options: Any) -> Self:
        """Open a study that others made, with the space that it was made with.

        Args:
            storage: its URL.
            name: of the study in the storage.
            options: all others of this class.

        Raises:
            NoSuchStudy: if it is not there.
        """
        space = SearchSpace.from_dict(stored_attributes(storage, name)[SPACE])
        return cls(space, storage=storage, name=name, creates=False, **options)
