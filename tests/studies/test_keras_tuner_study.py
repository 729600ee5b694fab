"""What is true of studies that KerasTuner proposes."""

import json

import keras_tuner
import optuna
import pytest

from studies import (
    FAMILIES,
    ForeignStudy,
    KerasTunerStudy,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    TrialConfig,
    TrialState,
    Watcher,
    Worker,
)
from studies.engines.keras_tuner_oracles import RandomOracle
from studies.storage.retrying import Retrying
from studies.work.search import Search
from tests.studies.bowl import Bowl, Heard
from tests.studies.contract import NUM_TRIALS, SMALL, SPACE, StudyContract

TINY = SearchSpace((OptimizerRange("sgd", 1e-2, 0.4, 0.2),), batch_sizes=(16, 32))


@pytest.mark.long
class TestKerasTunerStudy(StudyContract):
    imports = "import keras_tuner; from studies import KerasTunerStudy"
    program = "study = KerasTunerStudy(SMALL, directory={folder!r})"

    @pytest.fixture(params=["random", "grid", "tpe"])
    def sampler(self, request):
        return request.param

    def open(self, space, folder, **options):
        return KerasTunerStudy(space, directory=folder, **options)

    learning = ("tpe", "bayesian")
    blind = ("random", "grid")


def test_a_gaussian_process_goes_on_as_if_uninterrupted_and_finds_the_bowl(tmp_path):
    """Its proposals cost a tenth of a second each, so it is asked for few."""
    whole = KerasTunerStudy(TINY, directory=tmp_path / "whole", sampler="bayesian").run(Bowl(), num_trials=14)
    for num_trials in (11, 12, 14):
        study = KerasTunerStudy(TINY, directory=tmp_path / "parts", sampler="bayesian")
        parts = study.run(Bowl(), num_trials=num_trials)

    assert list(parts) == list(whole)
    assert len({result.config for result in whole}) == 14
    assert all(TINY.holds(result.config) for result in whole)


def test_optimizers_are_arms_as_with_optuna_and_keras_tuner_opens_what_was_searched(tmp_path):
    results = KerasTunerStudy(SMALL, directory=tmp_path, sampler="arms").run(Bowl(), num_trials=5)
    assert results == OptunaStudy(SMALL, sampler="arms").run(Bowl(), num_trials=5)
    assert len(list((tmp_path / "lrrt").glob("trial_*/trial.json"))) == 5


@pytest.mark.parametrize("torn", ["oracle.json", "trial_1/trial.json"])
def test_a_file_of_keras_tuner_that_was_torn_is_written_again(torn, tmp_path):
    results = KerasTunerStudy(SMALL, directory=tmp_path).run(Bowl(), num_trials=4)
    file = tmp_path / "lrrt" / torn
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    study = KerasTunerStudy(SMALL, directory=tmp_path)

    assert list(study.results()) == list(results)
    study.run(Bowl(), num_trials=4)
    assert json.loads(file.read_text()) == json.loads(whole)


def test_keras_tuner_itself_opens_the_folder_and_sums_it_up(tmp_path, capsys):
    results = KerasTunerStudy(SMALL, directory=tmp_path).run(
        Bowl(raises=lambda config: MemoryError("no room") if config.optimizer_name == "adam" else None), num_trials=5
    )
    tuner = keras_tuner.RandomSearch(
        SMALL.suggest, directory=str(tmp_path), project_name="lrrt", objective=keras_tuner.Objective("val_loss", "min")
    )
    tuner.reload()
    tuner.results_summary()
    best = min((result for result in results if result.score is not None), key=lambda result: result.score)

    assert f"Score: {best.score}" in capsys.readouterr().out
    assert SMALL.suggest(tuner.get_best_hyperparameters()[0]) == best.config
    states = {trial.trial_id: trial.status for trial in tuner.oracle.trials.values()}
    assert states == {str(one.number): "FAILED" if one.state is TrialState.FAILED else "COMPLETED" for one in results}


def test_optuna_opens_the_study_while_keras_tuner_proposes(tmp_path):
    KerasTunerStudy(SMALL, directory=tmp_path).run(Bowl(), num_trials=3)
    study = optuna.load_study(study_name="lrrt", storage=f"sqlite:///{tmp_path}/lrrt/study.db")

    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert set(study.trials[0].params) >= {"optimizer", "schedule", "batch_size", "lr__sgd"}


def test_a_study_prints_nothing_unasked(tmp_path, capsys):
    KerasTunerStudy(SMALL, directory=tmp_path).run(Bowl(), num_trials=3)
    KerasTunerStudy(SMALL, directory=tmp_path)
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return KerasTunerStudy(SMALL, directory=tmp_path_factory.mktemp("known")).run(Bowl(), num_trials=NUM_TRIALS)


@pytest.mark.parametrize("sampler", ["random", "bayesian", "grid", "tpe"])
def test_a_worker_that_joins_proposes_from_what_another_study_showed(sampler, known, tmp_path):
    """The storage has it, and the engine tries none of its points again."""
    alone = KerasTunerStudy(SMALL, directory=tmp_path / "alone", sampler=sampler, known=known)
    KerasTunerStudy(SMALL, directory=tmp_path / "shared", sampler=sampler, known=known)
    joined = KerasTunerStudy(SMALL, directory=tmp_path / "shared", sampler=sampler, creates=False)
    results = alone.run(Bowl(), num_trials=5)

    assert list(joined.run(Bowl(), num_trials=5)) == list(results)
    assert not {result.config for result in results[2:]} & {result.config for result in known}


def test_a_grid_is_tried_once_and_then_ends_with_a_sentence(tmp_path):
    notes = []
    results = KerasTunerStudy(TINY, directory=tmp_path, sampler="grid").run(
        Bowl(), num_trials=100, watcher=Heard(on_note=notes.append)
    )
    rates = {result.config.lr for result in results}

    assert len(rates) == 11  # ten and the suggested one
    assert len(results) == len({result.config for result in results}) == 22
    assert notes == ["all 22 combinations have been tried, so the study ends before trial 100"]


def test_two_workers_that_ask_at_the_same_time_get_different_points_of_a_grid(tmp_path):
    both = [KerasTunerStudy(TINY, directory=tmp_path, sampler="grid", worker=Worker.here(name)) for name in "ab"]
    jobs = [Search(study, Bowl(), 6, Watcher(), Retrying("")) for study in both]
    configs = []
    for _ in range(3):
        tables = [study.board.table() for study in both]
        for study, job, table in zip(both, jobs, tables, strict=True):
            job.on_look(table)
            piece = job.next_piece(table, 1)
            if study.board.claim(piece.key, piece.values, piece.distributions) is None:  # the other one was faster
                piece = job.next_piece(study.board.table(), 1)
                assert study.board.claim(piece.key, piece.values, piece.distributions)
            configs.append(TrialConfig.from_parameters(piece.values))

    assert len(set(configs)) == 6


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
    (tmp_path / "lrrt" / ".oracle.0123abcd-1-0123.partial.json").write_text('{"optimi')
    assert len(KerasTunerStudy(SMALL, directory=tmp_path).run(Bowl(), num_trials=1)) == 1


def test_a_gap_that_is_too_large_is_added_to_the_score(tmp_path):
    study = KerasTunerStudy(SMALL, directory=tmp_path, max_gap=-1.0)  # the bowl's gap is 0
    (result,) = study.run(Bowl(), num_trials=1)

    written = json.loads((tmp_path / "lrrt/trial_0/trial.json").read_text())
    assert written["score"] == pytest.approx(result.score + 1.0)


def test_every_dimension_is_declared_to_keras_tuner(tmp_path):
    hp = RandomOracle(SPACE, seed=0).get_space()
    assert {parameter.name for parameter in hp.space} == {dimension.name for dimension in SPACE.dimensions()}
    assert len(SPACE.schedules) == len(FAMILIES)
