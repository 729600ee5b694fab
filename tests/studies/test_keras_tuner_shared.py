"""What is true of studies in which KerasTuner proposes and many processes may train."""

import pytest

from studies import OptunaStudy, SearchSpace, StopTraining, TrialState, shared_keras_tuner_study
from studies.storage.database import Retrying
from tests.studies.bowl import Bowl
from tests.studies.contract import NUM_TRIALS, SMALL, SPACE
from tests.studies.test_keras_tuner_study import TINY


@pytest.mark.parametrize("sampler", ["random", "bayesian", "grid", "tpe"])
def test_one_worker_proposes_what_keras_tuner_alone_does(sampler, tmp_path):
    from studies import KerasTunerStudy

    alone = KerasTunerStudy(SMALL, directory=tmp_path, sampler=sampler).run(Bowl(), num_trials=NUM_TRIALS)
    shared = shared_keras_tuner_study(SMALL, sampler=sampler).run(Bowl(), num_trials=NUM_TRIALS)

    assert list(shared) == list(alone)


def test_a_study_that_goes_on_proposes_what_one_that_was_never_interrupted_does(tmp_path):
    whole = shared_keras_tuner_study(SMALL).run(Bowl(), num_trials=6)

    def stop(_):
        raise StopTraining

    for num_trials in (1, 3, 6):
        study = shared_keras_tuner_study(SMALL, storage=f"sqlite:///{tmp_path}/study.db")
        with pytest.raises(StopTraining):
            study.run(Bowl(), num_trials=num_trials, on_epoch=stop)
        parts = study.run(Bowl(), num_trials=num_trials)

    assert list(parts) == list(whole)


@pytest.mark.parametrize("sampler", ["random", "bayesian", "grid", "tpe"])
def test_a_worker_that_joins_proposes_from_what_another_study_showed(sampler, tmp_path):
    """As KerasTuner alone does; the storage tells it, and it tries none of the values again."""
    from studies import KerasTunerStudy

    known = shared_keras_tuner_study(SMALL).run(Bowl(), num_trials=NUM_TRIALS)
    alone = KerasTunerStudy(SMALL, directory=tmp_path, sampler=sampler, known=known).run(Bowl(), num_trials=5)
    storage = f"sqlite:///{tmp_path}/study.db"
    shared_keras_tuner_study(SMALL, storage=storage, sampler=sampler, known=known).add_slots(5)
    joined = shared_keras_tuner_study(SMALL, storage=storage, sampler=sampler, creates=False)

    assert list(joined.run(Bowl(), num_trials=5)) == list(alone)
    assert not {result.config for result in alone[2:]} & {result.config for result in known}


def test_two_workers_that_ask_at_the_same_time_get_different_values(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    both = [shared_keras_tuner_study(SPACE, storage=storage, sampler="grid") for _ in range(2)]
    both[0].add_slots(6)
    configs = []
    for number in range(6):
        study = both[number % 2]
        claimed = study._slots.claim(Retrying(storage), 6)
        study._trials.ask_proposer(claimed, study._slots.table(), [])
        configs.append(study._trials.suggested(claimed)[1])

    assert len(set(configs)) == 6


def test_a_grid_is_tried_once_and_the_slots_beyond_it_end_without_a_trial(tmp_path):
    study = shared_keras_tuner_study(TINY, storage=f"sqlite:///{tmp_path}/study.db", sampler="grid")
    results = study.run(Bowl(), num_trials=25)

    assert len(results) == len({result.config for result in results}) == 22
    assert study.progress().num_ended == 25


def test_who_joins_finds_the_space_with_all_its_parts(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    OptunaStudy(SPACE, storage=storage).add_slots(2)
    joined = OptunaStudy.join(storage)

    assert joined.space == SPACE
    assert isinstance(joined.space, SearchSpace)
    joined.work(Bowl())
    assert [result.state for result in joined.results()] == [TrialState.COMPLETED] * 2
