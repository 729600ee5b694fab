"""What is true of trainers and studies, on real trainings of scikit-learn's digits."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from lrrt import Loops
from pipeline.digits_example import build_model, load_data
from studies import OptimizerRange, OptunaStudy, SearchSpace, Trainer, TrialConfig, TrialResult, TrialState, best_of
from studies.engines.observation import cost_for_engines as told_score
from tests.studies.bowl import Heard

SPACE = SearchSpace(
    (OptimizerRange("sgd", 1e-2, 1.0, 0.2), OptimizerRange("adam", 1e-4, 1e-2, 2e-3)),
    ("fixed", "exponential", "triangular"),
)
DATA = load_data()


def config(optimizer="sgd", schedule="fixed", lr=0.2, **parameters):
    return TrialConfig(optimizer, schedule, lr, 32, tuple(parameters.items()))


def test_a_trial_records_every_epoch_and_scores_its_best(trainer):
    trained = trainer.train(config())
    result = trained.result

    assert result.state is TrialState.COMPLETED
    assert len(result.train_losses) == len(result.val_losses) == 4
    assert result.score == min(result.val_losses) == result.val_losses[result.best_epoch - 1]
    assert result.num_steps == 4 * 34


def test_the_weights_kept_are_those_of_the_best_epoch(trainer):
    trained = trainer.train(config(lr=0.9))
    model = trainer.as_trained(trained.result, trained.best_weights)

    loss = model.evaluate(*DATA["validation"], verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(trained.result.score, rel=1e-5)


def test_the_same_config_trains_alike_whatever_was_trained_before(trainer):
    first = trainer.train(config("adam", "triangular", 0.005, num_cycles=2.0, base_fraction=0.1)).result
    trainer.train(config(lr=0.7))
    again = trainer.train(first.config).result

    assert (again.train_losses, again.val_losses) == (first.train_losses, first.val_losses)


def test_a_diverged_trial_ends_at_once(trainer):
    result = trainer.train(config(lr=1e30)).result

    assert result.state is TrialState.DIVERGED
    assert result.num_steps < 34
    assert len(result.train_losses) == 1


def test_range_tests_and_ten_trials_trace_once_for_each_optimizer():
    from lrrt import Ramp, run_range_test

    loops = Loops(build_model, DATA["train"], optimizers=["sgd", "adam"], validation_data=DATA["validation"])
    run_range_test(loops, Ramp(num_steps=30), repeats=2)
    trainer = Trainer(loops, epochs=1)
    schedules = [
        "fixed",
        "linear",
        "step",
        "exponential",
        "time",
        "cosine",
        "triangular",
        "triangular2",
        "one_cycle",
        "fixed",
    ]
    for number, schedule in enumerate(schedules):
        trainer.train(config(("sgd", "adam")[number % 2], schedule, 0.01 * (number + 1)))

    assert loops.num_traces == {("sgd", 32): 1, ("adam", 32): 1}


@pytest.mark.parametrize(
    ("epochs", "validation", "message"),
    [
        (0, DATA["validation"], "`epochs` must be >= 1, got 0"),
        (2, None, "must have validation data to score its trials"),
    ],
)
def test_a_trainer_that_cannot_score_is_refused(epochs, validation, message):
    loops = Loops(build_model, DATA["train"], optimizers=["sgd"], validation_data=validation)
    with pytest.raises(ValueError, match=message):
        Trainer(loops, epochs=epochs)


def test_a_trial_that_was_running_when_the_process_died_is_asked_for_again(trainer, tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"

    def die(ended):
        raise KeyboardInterrupt

    study = OptunaStudy(SPACE, storage=storage)
    with pytest.raises(KeyboardInterrupt):
        study.run(trainer, num_trials=3, watcher=Heard(on_epoch_end=die))
    results = OptunaStudy(SPACE, storage=storage).run(trainer, num_trials=2)

    assert [(result.config.optimizer_name, result.config.lr) for result in results] == [("sgd", 0.2), ("adam", 2e-3)]


def test_a_diverged_trial_is_told_as_a_finite_number_worse_than_the_worst(trainer):
    wild = SearchSpace((OptimizerRange("sgd", 1e29, 1e30),), ("fixed",))
    study = OptunaStudy(wild)
    (result,) = study.run(trainer, num_trials=1)

    assert result.state is TrialState.DIVERGED
    assert np.isfinite(study.study.trials[0].value)
    scored = [TrialResult(i, config(), TrialState.COMPLETED, (1.0,), (score,)) for i, score in enumerate((0.5, 3.0))]
    assert 3.0 < told_score(result, scored) < 4.0


def test_a_model_that_raises_fails_its_trial_and_the_study_goes_on():
    class Brittle(keras.Sequential):
        def train_step(self, data):
            if isinstance(self.optimizer, keras.optimizers.Adam):
                raise MemoryError("no room")
            return super().train_step(data)

    def build():
        model = Brittle([keras.layers.Input((64,)), keras.layers.Dense(10, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    loops = Loops(build, DATA["train"], optimizers=["sgd", "adam"], validation_data=DATA["validation"])
    results = OptunaStudy(SPACE).run(Trainer(loops, epochs=1), num_trials=4)

    assert {result.state for result in results if result.config.optimizer_name == "sgd"} == {TrialState.COMPLETED}
    assert {(result.state, result.error) for result in results if result.config.optimizer_name == "adam"} == {
        (TrialState.FAILED, "MemoryError: no room")
    }
    assert best_of(results).config.optimizer_name == "sgd"


def test_no_trial_trained_to_its_end_leaves_no_best():
    assert best_of([]) is None
    assert best_of([TrialResult(0, config(), TrialState.DIVERGED, (1.0,), (1.0,))]) is None


def test_the_packages_are_imported_without_tensorflow_or_the_engines():
    heavy = {"tensorflow", "keras", "optuna", "keras_tuner", "matplotlib", "sklearn"}
    program = f"import sys, lrrt, studies, pipeline; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
