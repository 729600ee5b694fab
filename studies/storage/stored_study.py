"""Knows how an Optuna study is found where it is kept, or made there with its space and what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from studies.engines.optuna_samplers import distribution, quiet_optuna
from studies.space.search_space import SearchSpace
from studies.storage.database import NoSuchStudy, address, open_storage
from studies.study import told_of
from studies.trial import TrialResult

if TYPE_CHECKING:
    import optuna

SPACE = "space"  # the study attribute that holds the search space


def open_kept(
    name: str, database: optuna.storages.RDBStorage | None, *, creates: bool
) -> tuple[optuna.Study, optuna.storages.BaseStorage]:
    """Return the study of this name, and what keeps it: a database, or the memory of this process.

    Raises:
        NoSuchStudy: where it is not there, and must not be made.
    """
    import optuna

    storage = optuna.storages.get_storage(database)
    if creates:
        study = optuna.create_study(study_name=name, storage=storage, direction="minimize", load_if_exists=True)
        return study, storage
    try:
        return optuna.load_study(study_name=name, storage=storage), storage
    except KeyError:
        where = address(database.url) if database else "memory"
        raise NoSuchStudy(f"{where} must hold the study {name!r}, but it does not.") from None


def kept_attributes(storage: str, name: str = "lrrt") -> dict[str, Any]:
    """Return the attributes that a study was made with.

    Raises:
        NoSuchStudy: where the storage has no such study.
        StorageUnreachable, StorageOfAnotherVersion: as `OptunaStudy` does.
    """
    with quiet_optuna():
        return dict(open_kept(name, open_storage(storage, creates=False), creates=False)[0].user_attrs)


def make_own(
    study: optuna.Study, space: SearchSpace, known: Sequence[TrialResult], attributes: Mapping[str, Any]
) -> None:
    """Make a new study this space's own, or refuse one of another space."""
    kept = study.user_attrs
    space.check_kept(kept.get(SPACE, {}), f"The kept study {study.study_name!r}")
    if SPACE not in kept:
        for key, value in attributes.items():
            study.set_user_attr(key, value)
        _add_known(study, space, known)
        study.set_user_attr(SPACE, space.as_dict())


def _add_known(study: optuna.Study, space: SearchSpace, known: Sequence[TrialResult]) -> None:
    import optuna

    if study.get_trials(deepcopy=False):
        return
    dimensions = {dimension.name: distribution(dimension) for dimension in space.dimensions()}
    for values, score in told_of(known, space):
        distributions = {name: dimensions[name] for name in values}
        trial = optuna.trial.create_trial(params=dict(values), distributions=distributions, value=score)
        study.add_trial(trial)
