"""What is true of studies that KerasTuner proposes."""

import json

import keras_tuner
import pytest

from studies import FAMILIES, ForeignStudy, KerasTunerStudy, OptimizerRange, SearchSpace, StopTraining
from tests.studies.bowl import Bowl
from tests.studies.contract import NUM_TRIALS, SMALL, SPACE, StudyContract

TINY = SearchSpace((OptimizerRange("sgd", 1e-2, 0.4, 0.2),), batch_sizes=(16, 32))


class TestKerasTunerStudy(StudyContract):
    imports = "import keras_tuner; from studies import KerasTunerStudy"
    program = "study = KerasTunerStudy(SMALL, directory={folder!r})"

    @pytest.fixture(params=["random", "grid", "tpe"])
    def sampler(self, request):
        return request.param

    def open(self, space, folder, **options):
        return KerasTunerStudy(space, directory=folder, **options)

    def told(self, study):
        trials = sorted(study.tuner.oracle.trials.values(), key=lambda trial: int(trial.trial_id))
        return [trial.score for trial in trials]

    def known_to(self, study):
        return list(study.tuner.oracle.known)

    learning = ("tpe", "bayesian")

    def test_what_is_proposed_does_not_depend_on_interruptions(self, sampler, tmp_path):
        whole = self.open(SMALL, tmp_path / "whole", sampler=sampler).run(Bowl(), num_trials=NUM_TRIALS)
        for num_trials in range(1, NUM_TRIALS + 1):
            parts = self.open(SMALL, tmp_path / "parts", sampler=sampler).run(Bowl(), num_trials=num_trials)

        assert list(parts) == list(whole)


def test_a_gaussian_process_goes_on_as_if_uninterrupted_and_finds_the_bowl(tmp_path):
    """Its proposals cost a tenth of a second each, so it is asked for few."""
    whole = KerasTunerStudy(TINY, directory=tmp_path / "whole", sampler="bayesian").run(Bowl(), num_trials=14)
    for num_trials in (11, 12, 14):
        study = KerasTunerStudy(TINY, directory=tmp_path / "parts", sampler="bayesian")
        parts = study.run(Bowl(), num_trials=num_trials)

    assert list(parts) == list(whole)
    assert len({result.config for result in whole}) == 14
    assert all(TINY.holds(result.config) for result in whole)


@pytest.mark.parametrize("torn", ["oracle.json", "trial_1/trial.json"])
def test_a_half_written_file_of_keras_tuner_is_made_again(torn, tmp_path):
    results = KerasTunerStudy(SMALL, directory=tmp_path).run(Bowl(), num_trials=4)
    file = tmp_path / "lrrt" / torn
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    study = KerasTunerStudy(SMALL, directory=tmp_path)

    assert list(study.results()) == list(results)
    assert json.loads(file.read_text())
    assert len(study.run(Bowl(), num_trials=6)) == 6


def test_keras_tuner_itself_can_open_the_directory_and_sum_it_up(tmp_path, capsys):
    results = KerasTunerStudy(SMALL, directory=tmp_path).run(Bowl(), num_trials=5)
    tuner = keras_tuner.RandomSearch(
        SMALL.suggest, directory=str(tmp_path), project_name="lrrt", objective=keras_tuner.Objective("val_loss", "min")
    )
    tuner.results_summary()

    best = min(result.score for result in results if result.score is not None)
    assert f"Score: {best}" in capsys.readouterr().out
    assert len(tuner.oracle.trials) == 5


def test_our_own_tuner_sums_up_and_prints_nothing_unasked(tmp_path, capsys):
    study = KerasTunerStudy(SMALL, directory=tmp_path)
    study.run(Bowl(), num_trials=3)
    KerasTunerStudy(SMALL, directory=tmp_path)
    assert capsys.readouterr().out == ""

    study.tuner.results_summary()
    assert "lr__sgd: 0.2" in capsys.readouterr().out


def test_a_trial_that_was_running_leaves_nothing_behind(tmp_path):
    def stop(_):
        raise StopTraining

    with pytest.raises(StopTraining):
        KerasTunerStudy(SMALL, directory=tmp_path).run(Bowl(), num_trials=100, on_epoch=stop)
    assert len(list(tmp_path.glob("lrrt/trial_*/trial.json"))) == 1
    KerasTunerStudy(SMALL, directory=tmp_path)
    assert len(list(tmp_path.glob("lrrt/trial_*/trial.json"))) == 0


def test_a_grid_is_tried_once_and_then_ends(tmp_path):
    results = KerasTunerStudy(TINY, directory=tmp_path, sampler="grid").run(Bowl(), num_trials=100)
    rates = {result.config.lr for result in results}

    assert len(rates) == 11  # ten and the suggested one
    assert len(results) == len({result.config for result in results}) == 22


def test_a_seed_of_zero_is_a_seed(tmp_path):
    runs = [KerasTunerStudy(SMALL, directory=tmp_path / f"{n}", seed=0).run(Bowl(), num_trials=6) for n in range(2)]
    assert list(runs[0]) == list(runs[1])


@pytest.mark.parametrize("name", ["/tmp/project", "..", "a/b", ""])
def test_a_name_that_leaves_the_directory_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="`name` must be a plain name without a path"):
        KerasTunerStudy(SMALL, directory=tmp_path, name=name)


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "lrrt").mkdir()
    (tmp_path / "lrrt" / "oracle.json").write_text("{}")
    with pytest.raises(ForeignStudy, match="must be empty or hold a study of lrrt"):
        KerasTunerStudy(SMALL, directory=tmp_path)
    assert [file.name for file in (tmp_path / "lrrt").iterdir()] == ["oracle.json"]


def test_a_folder_with_what_a_killed_process_was_writing_is_begun_anew(tmp_path):
    (tmp_path / "lrrt").mkdir()
    (tmp_path / "lrrt" / ".study.0123abcd.partial.json").write_text('{"optimi')
    assert len(KerasTunerStudy(SMALL, directory=tmp_path).run(Bowl(), num_trials=1)) == 1


def test_a_gap_that_is_too_large_is_added_to_the_score(tmp_path):
    study = KerasTunerStudy(SMALL, directory=tmp_path, max_gap=-1.0)  # the bowl's gap is 0
    (result,) = study.run(Bowl(), num_trials=1)

    assert study.tuner.oracle.trials["0"].score == pytest.approx(result.score + 1.0)


def test_every_dimension_is_declared_to_keras_tuner(tmp_path):
    hp = KerasTunerStudy(SPACE, directory=tmp_path).tuner.oracle.get_space()
    assert {parameter.name for parameter in hp.space} == {dimension.name for dimension in SPACE.dimensions()}
    assert len(SPACE.schedules) == len(FAMILIES)
