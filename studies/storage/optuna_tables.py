"""Read and write Optuna's tables directly, if it has no interface that will do.

Optuna 5 adds a running trial by some 30 statements, and ends one by three transactions and one more for each of its
intermediate values. Here a trial takes two transactions of five statements, so that the bookkeeping of a short trial
is not longer than its training. An attribute of a study can only be overwritten, so that of two workers each would go
by its own. Heartbeats are compared with the database's clock only to fail trials for good, and their age is not
reported. All of it breaks if Optuna changes its tables; then tests/studies/storage/test_optuna_tables.py
fails, which reads by Optuna what is written here.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from studies.dimension import Value

if TYPE_CHECKING:
    import optuna
    import sqlalchemy
    from optuna.distributions import BaseDistribution

FINITE = "FINITE"


def add_running_trial(
    storage: optuna.storages.RDBStorage,
    study_id: int,
    values: Mapping[str, Value],
    distributions: Mapping[str, BaseDistribution],
    attributes: Mapping[str, Any],
) -> tuple[int, int]:
    """Add a running trial to a study in one transaction; return its id and its number.

    Args:
        storage: of the study.
        study_id: Optuna's id of the study.
        values: the parameters of the trial, by name.
        distributions: of each of these; they must be those of the study's other trials.
        attributes: the user attributes of the trial, plain data for JSON.
    """
    import sqlalchemy
    from optuna.distributions import distribution_to_json

    tables = _tables()
    trials, studies = tables["trials"], tables["studies"]
    with storage.engine.begin() as connection:
        # The lock by which Optuna, too, numbers the trials of a study.
        connection.execute(
            sqlalchemy.select(studies.c.study_id).where(studies.c.study_id == study_id).with_for_update()
        )
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(trials).where(trials.c.study_id == study_id)
        number = int(connection.execute(count).scalar_one())
        row = {"study_id": study_id, "number": number, "state": "RUNNING", "datetime_start": _now()}
        made = connection.execute(trials.insert(), row).inserted_primary_key
        assert made is not None, "the table has a primary key"
        trial_id = int(made[0])
        parameters = [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": distributions[name].to_internal_repr(value),
                "distribution_json": distribution_to_json(distributions[name]),
            }
            for name, value in values.items()
        ]
        if parameters:
            connection.execute(tables["trial_params"].insert(), parameters)
        connection.execute(tables["trial_user_attributes"].insert(), _attribute_rows(trial_id, attributes))
    return trial_id, number


def end_trial(
    storage: optuna.storages.RDBStorage,
    trial_id: int,
    attributes: Mapping[str, Any],
    curve: Sequence[float],
    values: Sequence[float],
) -> bool:
    """End a running trial with all that it showed, in one transaction; return whether it was still running.

    Args:
        storage: of the trial.
        trial_id: Optuna's id of the trial.
        attributes: user attributes that it does not have yet, plain data for JSON.
        curve: losses by epoch, from 1; the finite ones become intermediate values.
        values: finite values of the trial; without any it has failed.
    """
    import sqlalchemy

    tables = _tables()
    trials = tables["trials"]
    is_trial = trials.c.trial_id == trial_id
    losses = [(epoch, loss) for epoch, loss in enumerate(curve, start=1) if math.isfinite(loss)]
    with storage.engine.begin() as connection:
        state = connection.execute(sqlalchemy.select(trials.c.state).where(is_trial).with_for_update()).scalar_one()
        if state != "RUNNING":
            return False
        rows = {
            "trial_user_attributes": _attribute_rows(trial_id, attributes),
            "trial_intermediate_values": [
                {
                    "trial_id": trial_id,
                    "step": epoch,
                    "intermediate_value": loss,
                    "intermediate_value_type": FINITE,
                }
                for epoch, loss in losses
            ],
            "trial_values": [
                {"trial_id": trial_id, "objective": place, "value": value, "value_type": FINITE}
                for place, value in enumerate(values)
            ],
        }
        for name, of_table in rows.items():
            if of_table:
                connection.execute(tables[name].insert(), of_table)
        ended = {"state": "COMPLETE" if values else "FAIL", "datetime_complete": _now()}
        connection.execute(trials.update().where(is_trial).values(ended))
    return True


def set_first(storage: optuna.storages.RDBStorage, study_id: int, key: str, value: Any) -> None:
    """Store an attribute of a study unless it has one of this name, whoever else stores one at the same time."""
    import sqlalchemy

    row = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
    with contextlib.suppress(sqlalchemy.exc.IntegrityError), storage.engine.begin() as connection:
        connection.execute(_tables()["study_user_attributes"].insert(), row)


def seconds_since_heartbeats(storage: optuna.storages.RDBStorage, trial_ids: Iterable[int]) -> dict[int, float]:
    """Return the seconds since the last heartbeat of each trial that had one, by the clock of the database."""
    import sqlalchemy

    ids = list(trial_ids)
    if not ids:
        return {}
    heartbeats = _tables()["trial_heartbeats"]
    with storage.engine.connect() as connection:
        now = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar_one().replace(tzinfo=None)
        rows = connection.execute(
            sqlalchemy.select(heartbeats.c.trial_id, heartbeats.c.heartbeat).where(heartbeats.c.trial_id.in_(ids))
        ).all()
    return {trial_id: (now - heartbeat).total_seconds() for trial_id, heartbeat in rows}


@cache
def _tables() -> Mapping[str, sqlalchemy.Table]:
    """Return the columns of Optuna's tables that are used here, by the name of the table."""
    from sqlalchemy import Column, DateTime, Double, Enum, Integer, MetaData, String, Table, Text

    states = Enum("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING", name="trialstate")
    of_values = Enum(FINITE, "INF_POS", "INF_NEG", name="trialvaluetype")
    of_losses = Enum(FINITE, "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype")
    columns: Mapping[str, Sequence[Column[Any]]] = {
        "studies": [Column("study_id", Integer, primary_key=True)],
        "study_user_attributes": [Column("study_id", Integer), Column("key", String), Column("value_json", Text)],
        "trials": [
            Column("trial_id", Integer, primary_key=True),
            Column("study_id", Integer),
            Column("number", Integer),
            Column("state", states),
            Column("datetime_start", DateTime),
            Column("datetime_complete", DateTime),
        ],
        "trial_params": [
            Column("trial_id", Integer),
            Column("param_name", String),
            Column("param_value", Double),
            Column("distribution_json", Text),
        ],
        "trial_user_attributes": [Column("trial_id", Integer), Column("key", String), Column("value_json", Text)],
        "trial_values": [
            Column("trial_id", Integer),
            Column("objective", Integer),
            Column("value", Double),
            Column("value_type", of_values),
        ],
        "trial_intermediate_values": [
            Column("trial_id", Integer),
            Column("step", Integer),
            Column("intermediate_value", Double),
            Column("intermediate_value_type", of_losses),
        ],
        "trial_heartbeats": [Column("trial_id", Integer), Column("heartbeat", DateTime)],
    }
    metadata = MetaData()
    return {name: Table(name, metadata, *of_table) for name, of_table in columns.items()}


def _attribute_rows(trial_id: int, attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def _now() -> datetime:
    """Return the time as Optuna stores it."""
    return datetime.now(UTC).replace(tzinfo=None)
