"""A study of several objectives tells the engine all of them, is ranked by the first, and leaves a front."""

import pytest

from studies import (
    KerasTunerStudy,
    Objective,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    Trainer,
    TrialConfig,
    TrialResult,
    TrialState,
    best_of,
    pareto_front,
)
from studies.objective import NUM_PARAMETERS, SECONDS_PER_STEP, objectives_named
from tests.studies import imbalanced
from tests.studies.bowl import Bowl

SGD = SearchSpace((OptimizerRange("sgd", 1e-2, 0.2),), ("fixed",), (16, 32, 64))
BOTH = ["val_loss", "num_parameters"]


def opened(engine, folder, **options):
    if engine == "optuna":
        return OptunaStudy(SGD, storage=f"sqlite:///{folder}/study.db", **options)
    return KerasTunerStudy(SGD, directory=folder, sampler=engine, **options)


@pytest.mark.parametrize("engine", ["optuna", "tpe", "random"])
def test_the_front_holds_each_trial_that_no_other_beats_in_both(engine, tmp_path):
    """Larger batches are smaller models here, and a lower rate of the bowl is a worse loss."""
    trainer = Bowl(size=lambda config: 1000 // config.batch_size, further=(NUM_PARAMETERS,))
    study = opened(engine, tmp_path, objective=BOTH)
    results = study.run(trainer, num_trials=14)
    front = pareto_front(results, study.objectives)
    best = {size: best_of([one for one in results if one.config.batch_size == size]) for size in (16, 32, 64)}

    assert len(study.study.directions) == 2
    assert {trial.number for trial in study.study.best_trials} == {one.number for one in front}
    assert front[0] is best_of(results)
    assert best[64] in front
    assert [one.num_parameters for one in front] == sorted((one.num_parameters for one in front), reverse=True)
    for one in front:
        assert one is best[one.config.batch_size]


def test_a_study_of_several_objectives_goes_on_with_its_own(tmp_path):
    trainer = Bowl(size=lambda config: config.batch_size, further=(NUM_PARAMETERS,))
    first = list(opened("optuna", tmp_path, objective=BOTH).run(trainer, num_trials=3))
    study = opened("optuna", tmp_path)

    assert [one.name for one in study.objectives] == BOTH
    assert list(study.run(trainer, num_trials=5)[:3]) == first
    with pytest.raises(ValueError, match="must have the same objectives"):
        study.run(Bowl(), num_trials=6)


def test_what_a_trial_costs_is_measured():
    trainer = Trainer(imbalanced.make_loops(), epochs=2, objective=["val_auc", "num_parameters", "seconds_per_step"])
    result = trainer.train(TrialConfig("sgd", "fixed", 1e-6, 64)).result

    assert trainer.objectives == (Objective("val_auc", "max"), NUM_PARAMETERS, SECONDS_PER_STEP)
    assert [result.value_of(one) for one in trainer.objectives[:2]] == [result.score, 5]
    assert 0 < result.value_of(SECONDS_PER_STEP) < 1


def test_a_diverged_trial_is_told_finite_costs_and_is_in_no_front(tmp_path):
    wild = SearchSpace((OptimizerRange("sgd", 1e-2, 10.0),), ("fixed",))
    trainer = Bowl(size=lambda config: 7, further=(NUM_PARAMETERS,))
    study = OptunaStudy(wild, objective=BOTH)
    results = study.run(trainer, num_trials=10)
    diverged = [one for one in results if one.state is TrialState.DIVERGED]

    assert diverged
    assert all(abs(value) < 1e300 for trial in study.study.trials for value in trial.values)
    assert not [one for one in pareto_front(results, study.objectives) if one in diverged]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "one objective at least"),
        (["val_loss", "val_loss"], "may stand once, got 'val_loss' twice"),
        (["num_parameters", "val_loss"], "first objective must be a loss or a metric"),
        (["val_loss", "val_profit"], "must be known, but Keras has none for 'val_profit'"),
    ],
)
def test_objectives_that_cannot_stand_together_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        objectives_named(names)


def test_a_sampler_that_knows_one_objective_is_refused(monkeypatch, tmp_path):
    from studies.engines import optuna_samplers

    monkeypatch.setattr(optuna_samplers, "NEEDED", {})
    with pytest.raises(ValueError, match="must not be 'cmaes' with several objectives"):
        OptunaStudy(SGD, sampler="cmaes", objective=BOTH)
    with pytest.raises(ValueError, match="must not be 'bayesian' with several objectives"):
        KerasTunerStudy(SGD, sampler="bayesian", objective=BOTH, directory=tmp_path)


def test_equal_trials_are_all_in_the_front():
    trials = [
        TrialResult(
            number,
            TrialConfig("sgd", "fixed", 0.1 + number, 32),
            TrialState.COMPLETED,
            (1.0,),
            (0.5,),
            num_parameters=3,
        )
        for number in range(2)
    ]
    assert pareto_front(trials, objectives_named(BOTH)) == trials
