"""Read and write Optuna's tables directly, in the two cases for which it has no interface.

Optuna 5 writes each intermediate value in a separate transaction, which for a trial of 12 epochs is half of all its
transactions. It compares heartbeats with the database's clock only to fail trials for good, and does not report their
age. Both statements break if Optuna changes its tables; then tests/studies/storage/test_optuna_tables.py fails.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def write_curve(storage: optuna.storages.RDBStorage, trial_id: int, losses: Sequence[float]) -> None:
    """Write the finite losses of a trial by epoch, from 1, as intermediate values, in one transaction."""
    import sqlalchemy

    kinds = sqlalchemy.Enum("FINITE", "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype")
    table = sqlalchemy.table(
        "trial_intermediate_values",
        sqlalchemy.column("trial_id", sqlalchemy.Integer),
        sqlalchemy.column("step", sqlalchemy.Integer),
        sqlalchemy.column("intermediate_value", sqlalchemy.Double),
        sqlalchemy.column("intermediate_value_type", kinds),
    )
    rows = [
        {"trial_id": trial_id, "step": epoch, "intermediate_value": loss, "intermediate_value_type": "FINITE"}
        for epoch, loss in enumerate(losses, start=1)
        if math.isfinite(loss)
    ]
    if not rows:
        return
    # The rows exist already if this is a second call because the storage's answer was lost.
    with contextlib.suppress(sqlalchemy.exc.IntegrityError), storage.engine.begin() as connection:
        connection.execute(table.insert(), rows)


def seconds_since_heartbeats(storage: optuna.storages.RDBStorage, trial_ids: Iterable[int]) -> dict[int, float]:
    """Return the seconds since the last heartbeat of each trial that had one, by the clock of the database."""
    import sqlalchemy

    ids = list(trial_ids)
    if not ids:
        return {}
    heartbeats = sqlalchemy.table(
        "trial_heartbeats", sqlalchemy.column("trial_id"), sqlalchemy.column("heartbeat", sqlalchemy.DateTime)
    )
    with storage.engine.connect() as connection:
        now = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar_one().replace(tzinfo=None)
        rows = connection.execute(
            sqlalchemy.select(heartbeats.c.trial_id, heartbeats.c.heartbeat).where(heartbeats.c.trial_id.in_(ids))
        ).all()
    return {trial_id: (now - heartbeat).total_seconds() for trial_id, heartbeat in rows}
