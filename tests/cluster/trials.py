"""Read what a study's storage shows of its trials."""

import optuna
from optuna.trial import TrialState

from studies.sharing.board import WORKER
from studies.sharing.pieces import KEY, RESULT


def trials_of(storage):
    """Return Optuna's trials of a stage's study; one that was taken over has others with its key."""
    database = optuna.storages.RDBStorage(storage)
    try:
        return optuna.load_study(study_name="lrrt", storage=database).get_trials()
    except KeyError:  # ranges are still being tested
        return []
    finally:
        database.remove_session()
        database.engine.dispose()


def held_by(storage, worker_id):
    """Return the trials that a worker, told by how its id ends, is training."""
    trials = [trial for trial in trials_of(storage) if trial.state is TrialState.RUNNING]
    return [trial for trial in trials if trial.user_attrs.get(WORKER, {"id": ""})["id"].endswith(worker_id)]


def check_each_trial_ended_once(storage, num_trials):
    """Fail if a trial has no result, or two, or is still running."""
    trials = trials_of(storage)
    assert sorted(trial.user_attrs[KEY] for trial in trials if RESULT in trial.user_attrs) == list(range(num_trials))
    assert sum(trial.state is TrialState.COMPLETE for trial in trials) == num_trials
    assert [trial.number for trial in trials if not trial.state.is_finished()] == []
