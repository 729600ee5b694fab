"""Define a study whose trials Optuna proposes."""

from __future__ import annotations

from typing import Any, Self

from studies.engines.arms import ARMS
from studies.engines.arms_engine import in_arms
from studies.engines.optuna_engine import OptunaEngine
from studies.sharing.stored_study import SPACE, stored_attributes
from studies.space.search_space import SearchSpace
from studies.study import Study


class OptunaStudy(Study):
    """A study whose trials one of Optuna's samplers proposes; the first ones have the rates that range tests suggest.

    Args:
        space: the space that is searched.
        sampler: "tpe", "random", "qmc", or, if their packages are installed, "gp" (torch) or "cmaes" (cmaes); or
            "arms", a bandit over optimizers: each begins inside its range of the space, which is no limit.
        seed: the seed of the sampler's choices, together with the number of the trial.
        options: all other arguments of `studies.Study`.

    Raises:
        ValueError: for an unknown sampler.
        ImportError: if a package that the sampler needs is not installed.
        ForeignStudy, NoSuchStudy, StorageUnreachable, StorageOfAnotherVersion: see `studies.Study`.
    """

    def __init__(self, space: SearchSpace, *, sampler: str = "tpe", seed: int = 0, **options: Any) -> None:
        if sampler == ARMS:
            super().__init__(*in_arms(space, seed=seed), **options)
        else:
            super().__init__(space, OptunaEngine(space, sampler=sampler, seed=seed), **options)

    @classmethod
    def join(cls, storage: str, *, name: str = "lrrt", **options: Any) -> Self:
        """Open an existing study, with its stored space.

        Args:
            storage: the URL of its storage.
            name: the study's name in the storage.
            options: all other arguments of this class.

        Raises:
            NoSuchStudy: if it does not exist.
            ValueError: for the sampler "arms", since the stored space has no bounds.
        """
        if options.get("sampler") == ARMS:
            raise ValueError(
                'A study with sampler="arms" must be opened with its bounds, which it does not store. Open it with '
                "OptunaStudy(space, sampler='arms', storage=..., creates=False)."
            )
        space = SearchSpace.from_dict(stored_attributes(storage, name)[SPACE])
        return cls(space, storage=storage, name=name, creates=False, **options)
