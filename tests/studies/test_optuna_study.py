"""What is true of studies that Optuna proposes."""

import importlib.util

import optuna
import pytest

from studies import OptunaStudy
from tests.studies.bowl import Bowl
from tests.studies.contract import SMALL, SPACE, StudyContract


class TestOptunaStudy(StudyContract):
    imports = "from studies import OptunaStudy"
    program = "study = OptunaStudy(SMALL, storage='sqlite:///{folder}/study.db')"

    def open(self, space, folder, **options):
        folder.mkdir(exist_ok=True)
        return OptunaStudy(space, storage=f"sqlite:///{folder}/study.db", **options)

    def new(self, space, folder, **options):
        return OptunaStudy(space, **options)

    @pytest.fixture(params=["tpe", "random", "qmc", "arms"])
    def sampler(self, request):
        return request.param


@pytest.mark.parametrize(("sampler", "package"), [("gp", "torch"), ("cmaes", "cmaes")])
def test_a_sampler_whose_package_is_missing_names_it(sampler, package):
    if importlib.util.find_spec(package):
        assert len(OptunaStudy(SMALL, sampler=sampler).run(Bowl(), num_trials=14)) == 14
    else:
        with pytest.raises(ImportError, match=f"{sampler}.* not installed: pip install {package}"):
            OptunaStudy(SMALL, sampler=sampler)


def test_a_quasi_random_study_goes_on_and_repeats_nothing(tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    for num_trials in (4, 9, 16):
        results = OptunaStudy(SMALL, storage=storage, sampler="qmc").run(Bowl(), num_trials=num_trials)
    assert len({result.config for result in results}) == 16


def test_a_study_without_a_storage_is_stored_in_memory():
    assert len(OptunaStudy(SPACE).run(Bowl(), num_trials=3)) == 3


def test_a_gap_that_is_too_large_is_a_violated_constraint():
    study = OptunaStudy(SMALL, max_gap=-1e9)  # every gap is larger
    study.run(Bowl(), num_trials=3)

    trials = study.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert [trial.constraints["generalisation_gap"] > 0 for trial in trials] == [True] * len(trials)
