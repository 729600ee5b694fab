"""Shows that a database gives what waits to one of those who want it."""

import threading

import optuna
from optuna.trial import TrialState

from studies.storage.database import open_storage

NUM_TRIALS = 30


def test_sqlite_gives_a_waiting_trial_to_one_of_two_workers(tmp_path):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(storage=open_storage(url, creates=True))
    for _ in range(NUM_TRIALS):
        study.enqueue_trial({})
    ids = [trial._trial_id for trial in study.get_trials(deepcopy=False)]
    together = threading.Barrier(2)
    taken = []

    def take_all():
        storage = open_storage(url, creates=False)
        for trial in ids:
            together.wait()
            try:
                if storage.set_trial_state_values(trial, TrialState.RUNNING):
                    taken.append(trial)
            except optuna.exceptions.UpdateFinishedTrialError:
                pass

    workers = [threading.Thread(target=take_all) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(taken) == ids
