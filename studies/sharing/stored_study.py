"""Open the Optuna study that stores a study of ours, or make it with its space and known trials."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from lrrt.plain import from_plain, to_plain
from studies.engines.observation import Observation
from studies.engines.optuna_samplers import distribution, quiet_optuna
from studies.objective import VAL_LOSS, Objectives
from studies.sharing.pieces import RESULT, Table
from studies.space.differences import ForeignStudy, check_same_space
from studies.space.search_space import SearchSpace
from studies.storage.database import NoSuchStudy, open_storage
from studies.storage.retrying import Retrying
from studies.storage.urls import address
from studies.trial import TrialResult

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

SPACE = "space"  # the study attribute with the search space; it is written last, so a study that has it is complete
OBJECTIVES = "objectives"  # ... with what its trials are scored by; a study of version 0.1.0 has none
FORMAT, CURRENT_FORMAT = "format", 2  # how trials are stored; the first format had no such attribute
KNOWN = "known"  # the attribute of trials from another study, with their place among these
BEING_MADE_S = 10.0  # so long a process waits for a study that another process is making


def open_study(
    name: str, database: optuna.storages.RDBStorage | None, *, objectives: Objectives = (VAL_LOSS,), creates: bool
) -> tuple[optuna.Study, optuna.storages.BaseStorage]:
    """Return the study of this name and its storage: a database, or the memory of this process.

    Args:
        name: of the study.
        database: None for the memory of this process.
        objectives: give a new study its directions.
        creates: whether it is made if it does not exist.

    Raises:
        NoSuchStudy: if the study does not exist, and must not be made.
    """
    import optuna

    storage = optuna.storages.get_storage(database)
    retry = Retrying(database.url if database else "memory")
    low, high = optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE
    directions = [high if objective.is_maximised else low for objective in objectives]
    with quiet_optuna():
        if creates:
            make = partial(optuna.create_study, study_name=name, directions=directions, load_if_exists=True)
            return retry(lambda: make(storage=storage)), storage
        try:
            return retry(lambda: optuna.load_study(study_name=name, storage=storage)), storage
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
    end, retry = time.monotonic() + BEING_MADE_S, Retrying(storage)
    while SPACE not in (attributes := retry(lambda: study.user_attrs)):
        if time.monotonic() > end:
            raise NoSuchStudy(
                f"{address(storage)} must hold a complete study, but the making of {name!r} was broken off. Run the "
                "command that made it again."
            )
        time.sleep(random.uniform(0.1, 0.3))
    return dict(attributes)


def objectives_of(study: optuna.Study, given: Objectives | None) -> Objectives:
    """Return the objectives of a stored study, or, of one that has none yet, those that are given.

    Raises:
        ForeignStudy: if others are given than the stored ones.
    """
    attributes = study.user_attrs
    if SPACE not in attributes and OBJECTIVES not in attributes:
        return given or (VAL_LOSS,)
    stored = from_plain(Objectives, attributes.get(OBJECTIVES, [to_plain(VAL_LOSS)]))
    if given not in (None, stored):
        was, now = (", ".join(f"{one.name} ({one.direction})" for one in several) for several in (stored, given or ()))
        raise ForeignStudy(
            f"The stored study {study.study_name!r} must be of this objective, but it was {was}, now {now}. Take "
            "another name or folder."
        )
    return stored


def complete(
    study: optuna.Study,
    space: SearchSpace,
    objectives: Objectives,
    known: Iterable[Observation],
    attributes: Mapping[str, Any],
    *,
    creates: bool = True,
) -> None:
    """Give a new study its objectives and space, or refuse a study of another space; write nothing unless `creates`.

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
    check_same_space(stored.get(SPACE, {}), space.as_dict(), f"The stored study {study.study_name!r}")
    if SPACE in stored or not creates:
        return
    for key, value in {**attributes, OBJECTIVES: [to_plain(one) for one in objectives]}.items():
        study.set_user_attr(key, value)
    distributions = {dimension.name: distribution(dimension) for dimension in space.dimensions()}
    stored_trials = known_trials(Table.of(study.get_trials(deepcopy=False)))
    for index, observation in enumerate(known):
        if index not in stored_trials and observation.cost is not None:
            trial = optuna.trial.create_trial(
                params=dict(observation.values),
                distributions={name: distributions[name] for name in observation.values},
                values=[
                    one.score(cost)
                    for one, cost in zip(objectives, (observation.cost, *observation.further), strict=True)
                ],
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


def stored_results(storage: str, name: str = "lrrt") -> list[TrialResult]:
    """Return the results of the trials of a stored study that have ended, in the order of their numbers.

    Raises:
        NoSuchStudy: if the storage has no such study.
        StorageUnreachable, StorageOfAnotherVersion: as `OptunaStudy` does.
    """
    study, _ = open_study(name, open_storage(storage, creates=False), creates=False)
    ended = Table.of(Retrying(storage)(lambda: study.get_trials(deepcopy=False))).latest_parts()
    return [TrialResult.from_dict(trial.user_attrs[RESULT]) for trial in ended]
