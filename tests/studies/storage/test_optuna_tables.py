"""Shows that the tables which are used past Optuna's interface are still what Optuna reads and writes."""

import math
import time

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from studies.storage.database import open_storage
from studies.storage.optuna_tables import add_running_trial, end_trial, seconds_since_heartbeats, set_first

VALUES = {"lr": 0.01, "units": 16, "optimizer": "adam"}
DISTRIBUTIONS = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "units": IntDistribution(8, 64, step=8),
    "optimizer": CategoricalDistribution(("sgd", "adam")),
}
ATTRIBUTES = {"key": 7, "worker": {"id": "a", "pid": 1}}


@pytest.fixture
def study(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/study.db", creates=True)
    return optuna.create_study(storage=storage, study_name="curves", directions=["minimize", "maximize"])


@pytest.fixture
def storage(study):
    return study._storage._backend


def added(storage, study):
    study_id = storage.get_study_id_from_name(study.study_name)
    return add_running_trial(storage, study_id, VALUES, DISTRIBUTIONS, ATTRIBUTES)


def parts(trial):
    """All that a trial has, but its number and its times."""
    names = ("state", "values", "params", "distributions", "user_attrs", "system_attrs", "intermediate_values")
    return {name: getattr(trial, name) for name in names}


def test_a_trial_that_is_added_here_is_one_that_optuna_adds(storage, study):
    study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.RUNNING, params=VALUES, distributions=DISTRIBUTIONS, user_attrs=ATTRIBUTES
        )
    )
    trial_id, number = added(storage, study)
    theirs, ours = study.get_trials()

    assert parts(ours) == parts(theirs)
    assert (ours._trial_id, ours.number) == (trial_id, number) == (2, 1)
    assert abs((ours.datetime_start - theirs.datetime_start).total_seconds()) < 60  # in one time zone
    assert ours.datetime_complete is None


def test_trials_are_numbered_within_their_study(storage, study):
    optuna.create_study(storage=storage, study_name="another").ask()

    assert [added(storage, study) for _ in range(2)] == [(2, 0), (3, 1)]


def test_a_trial_that_is_ended_here_is_one_that_optuna_ends(storage, study):
    trial = optuna.trial.create_trial(
        values=[0.25, 3.0],
        params=VALUES,
        distributions=DISTRIBUTIONS,
        user_attrs={**ATTRIBUTES, "result": {"seconds": 1.5}},
        intermediate_values={1: 0.5, 3: 0.25},
    )
    study.add_trial(trial)
    trial_id, _ = added(storage, study)
    curve = [0.5, math.nan, 0.25, math.inf]

    assert end_trial(storage, trial_id, {"result": {"seconds": 1.5}}, curve, [0.25, 3.0])
    theirs, ours = study.get_trials()
    assert parts(ours) == parts(theirs)
    assert ours.datetime_start <= ours.datetime_complete


def test_a_trial_ends_once(storage, study):
    trial_id, _ = added(storage, study)

    assert end_trial(storage, trial_id, {"result": 1}, [], [])
    assert not end_trial(storage, trial_id, {"result": 2}, [0.5], [1.0, 2.0])
    (trial,) = study.get_trials()
    assert (trial.state, trial.user_attrs["result"], trial.intermediate_values) == (TrialState.FAIL, 1, {})


def test_a_heartbeat_that_optuna_writes_is_as_old_as_it_is(storage, study):
    trial_id, _ = added(storage, study)
    assert seconds_since_heartbeats(storage, [trial_id]) == {}
    storage.record_heartbeat(trial_id)
    time.sleep(1.1)

    assert 0 <= seconds_since_heartbeats(storage, [trial_id])[trial_id] <= 5


def test_the_first_of_two_attributes_that_are_stored_at_once_is_what_optuna_reads(storage, study):
    study_id = storage.get_study_id_from_name(study.study_name)

    set_first(storage, study_id, "uses XLA", True)
    set_first(storage, study_id, "uses XLA", False)

    assert study.user_attrs == {"uses XLA": True}
