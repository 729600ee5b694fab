"""Open the Optuna study that stores a study of ours, or make it with its space and known trials."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lrrt.plain import from_plain, to_plain
from studies.engines.observation import Observation
from studies.engines.optuna_samplers import distribution, quiet_optuna
from studies.objective import VAL_LOSS, Objective
from studies.space.differences import ForeignStudy
from studies.space.search_space import SearchSpace
from studies.storage.board import Table
from studies.storage.database import NoSuchStudy, open_storage
from studies.storage.urls import address

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

SPACE = "space"  # the study attribute with the search space; it is written last, so a study that has it is complete
OBJECTIVE = "objective"  # ... with what its trials are scored by; a study of version 0.1.0 has none
FORMAT, CURRENT_FORMAT = "format", 2  # how trials are stored; the first format had no such attribute
KNOWN = "known"  # the attribute of trials from another study, with their place among these
BEING_MADE_S = 10.0  # so long a process waits for a study that another process is making


def open_study(
    name: str, database: optuna.storages.RDBStorage | None, *, objective: Objective | None = None, creates: bool
) -> tuple[optuna.Study, optuna.storages.BaseStorage]:
    """Return the study of this name and its storage: a database, or the memory of this process.

    Args:
        name: of the study.
        database: None for the memory of this process.
        objective: gives a new study its direction; None is the validation loss.
        creates: whether it is made if it does not exist.

    Raises:
        NoSuchStudy: if the study does not exist, and must not be made.
    """
    import optuna

    storage = optuna.storages.get_storage(database)
    with quiet_optuna():
        if creates:
            is_maximised = objective is not None and objective.is_maximised
            direction = optuna.study.StudyDirection.MAXIMIZE if is_maximised else optuna.study.StudyDirection.MINIMIZE
            study = optuna.create_study(study_name=name, storage=storage, direction=direction, load_if_exists=True)
            return study, storage
        try:
            return optuna.load_study(study_name=name, storage=storage), storage
        except KeyError:
            place = address(database.url) if database else "memory"
            raise NoSuchStudy(f"{place} must hold the study {name!r}, but it does not.") from None


def stored_attributes(storage: str, name: str = "lrrt") -> dict[str, Any]:
    """Return the attributes from the making of a study; wait if another process is still making it.

    Raises:
        NoSuchStudy: if the storage has no such study, or its making was broken off.
        StorageUnreachable, StorageOfAnotherVersion: as `OptunaStudy` does.
    """
    study, _ = open_study(name, open_storage(storage, creates=False), creates=False)
    end = time.monotonic() + BEING_MADE_S
    while SPACE not in (attributes := study.user_attrs):
        if time.monotonic() > end:
            raise NoSuchStudy(
                f"{address(storage)} must hold a complete study, but the making of {name!r} was broken off. Run the "
                "command that made it again."
            )
        time.sleep(random.uniform(0.1, 0.3))
    return dict(attributes)


def objective_of(study: optuna.Study, wanted: Objective | None) -> Objective:
    """Return the objective of a stored study, or, of one that has none yet, the one that is wanted.

    Raises:
        ForeignStudy: if another is wanted than the stored one.
    """
    attributes = study.user_attrs
    if SPACE not in attributes and OBJECTIVE not in attributes:
        return wanted or VAL_LOSS
    stored = from_plain(Objective, attributes[OBJECTIVE]) if OBJECTIVE in attributes else VAL_LOSS
    if wanted not in (None, stored):
        raise ForeignStudy(
            f"The stored study {study.study_name!r} must be of this objective, but it was {stored}, now {wanted}. Take "
            "another name or folder."
        )
    return stored


def complete(
    study: optuna.Study,
    space: SearchSpace,
    objective: Objective,
    known: Iterable[Observation],
    attributes: Mapping[str, Any],
    *,
    creates: bool = True,
) -> None:
    """Give a new study its objective and its space, or refuse a study of another space; write nothing unless `creates`.

    Raises:
        ForeignStudy: if the study has another space, or an earlier version of lrrt made it.
    """
    import optuna

    stored = study.user_attrs
    if SPACE in stored and FORMAT not in stored:
        raise ForeignStudy(
            f"The stored study {study.study_name!r} must be of this version of lrrt, but an earlier one made it. "
            "Finish it with that version, or take another name or folder."
        )
    space.check_kept(stored.get(SPACE, {}), f"The stored study {study.study_name!r}")
    if SPACE in stored or not creates:
        return
    for key, value in {**attributes, OBJECTIVE: to_plain(objective)}.items():
        study.set_user_attr(key, value)
    distributions = {dimension.name: distribution(dimension) for dimension in space.dimensions()}
    stored_trials = known_trials(Table.of(study.get_trials(deepcopy=False)))
    for index, observation in enumerate(known):
        if index not in stored_trials and observation.cost is not None:
            trial = optuna.trial.create_trial(
                params=dict(observation.values),
                distributions={name: distributions[name] for name in observation.values},
                value=objective.score(observation.cost),
                user_attrs={KNOWN: index},
            )
            study.add_trial(trial)
    study.set_user_attr(FORMAT, CURRENT_FORMAT)
    study.set_user_attr(SPACE, space.as_dict())


def known_trials(table: Table) -> dict[int, FrozenTrial]:
    """Return the trials from another study, by their place; of two with the same place only the first."""
    by_place: dict[int, FrozenTrial] = {}
    for trial in table.others:
        if KNOWN in trial.user_attrs:
            by_place.setdefault(trial.user_attrs[KNOWN], trial)
    return by_place
