"""Shows that the two tables which are used past Optuna's interface are still what Optuna reads and writes."""

import math
import time

import optuna
import pytest

from studies.storage.database import open_storage
from studies.storage.optuna_tables import seconds_since_heartbeats, write_curve


@pytest.fixture
def running(tmp_path):
    """A storage with a study of one running trial, and the id of the trial."""
    storage = open_storage(f"sqlite:///{tmp_path}/study.db", creates=True)
    study = optuna.create_study(storage=storage, study_name="curves")
    storage_id = storage.get_study_id_from_name("curves")
    return storage, study, storage.create_new_trial(storage_id)


def test_a_curve_that_is_written_here_is_what_optuna_reads(running):
    storage, study, trial_id = running
    write_curve(storage, trial_id, [0.5, math.nan, 0.25, math.inf])
    write_curve(storage, trial_id, [0.5, math.nan, 0.25])  # again, because the answer was lost

    assert study.get_trials()[0].intermediate_values == {1: 0.5, 3: 0.25}


def test_a_heartbeat_that_optuna_writes_is_as_old_as_it_is(running):
    storage, _, trial_id = running
    assert seconds_since_heartbeats(storage, [trial_id]) == {}
    storage.record_heartbeat(trial_id)
    time.sleep(1.1)

    assert 0 <= seconds_since_heartbeats(storage, [trial_id])[trial_id] <= 5
