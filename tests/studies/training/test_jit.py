"""What is true of trials that XLA trains, and of the choice whether it does, which a study stores."""

import keras
import numpy as np
import pytest

from lrrt import Loops
from studies import CrossValidator, OptimizerRange, OptunaStudy, SearchSpace, StopTraining, Trainer, TrialConfig

KIND = "adam, batch_size=16"
CONFIG = TrialConfig("adam", "one_cycle", 0.01, 16)
SPACE = SearchSpace((OptimizerRange("adam", 1e-3, 1e-1),), ("fixed",), (16,))


def build_model():
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def loops():
    x = np.random.default_rng(0).normal(size=(90, 6)).astype("float32")
    y = (x[:, 0] > x[:, 1]).astype("int32")
    return Loops(build_model, (x[:60], y[:60]), optimizers=["adam"], batch_size=16, validation_data=(x[60:], y[60:]))


@pytest.fixture(scope="module")
def in_xla(loops):
    return Trainer(loops, epochs=3, patience=None, jit=True)


def is_under_xla(loops):
    return loops.get("adam", 16).uses_xla


def test_a_trial_under_xla_has_the_result_of_one_without_to_rounding(loops, in_xla):
    other = in_xla.train(CONFIG).result  # its schedule moves the momentum, too
    result = Trainer(loops, epochs=3, patience=None, jit=False).train(CONFIG).result

    assert other.train_losses == pytest.approx(result.train_losses, rel=1e-4)
    assert other.val_losses == pytest.approx(result.val_losses, rel=1e-4)
    assert other.metrics["val_accuracy"] == pytest.approx(result.metrics["val_accuracy"])


def test_a_trial_under_xla_goes_on_from_its_checkpoint_bit_for_bit(in_xla):
    checkpoints = []

    def stop(ended):
        checkpoints.append(ended.checkpoint())
        raise StopTraining

    whole = in_xla.train(CONFIG).result
    with pytest.raises(StopTraining):
        in_xla.train(CONFIG, on_epoch=stop)
    continued = in_xla.train(CONFIG, resume=checkpoints[0]).result

    assert continued.train_losses == whole.train_losses
    assert continued.val_losses == whole.val_losses


def test_a_study_stores_the_choice_and_later_runs_of_it_follow(loops, tmp_path):
    def study():
        return OptunaStudy(SPACE, storage=f"sqlite:///{tmp_path}/study.db")

    study().run(Trainer(loops, epochs=2), num_trials=1)
    chosen = {name: value for name, value in study().study.user_attrs.items() if KIND in name}
    for name in chosen:
        study().study.set_user_attr(name, True)  # as if XLA had been measured to be faster
    study().run(Trainer(loops, epochs=2), num_trials=2)

    assert list(chosen.values()) == [False]
    assert is_under_xla(loops)


def test_folds_take_the_choice_that_the_first_of_them_made(loops):
    study = OptunaStudy(SPACE)
    study.study.set_user_attr(f"uses XLA: {KIND}", True)

    study.run(CrossValidator([Trainer(loops, epochs=2)] * 2), num_trials=1)

    assert is_under_xla(loops)


def test_a_trainer_takes_its_choices_along_into_a_wider_study(loops):
    trainer, narrow, wide = Trainer(loops, epochs=2), OptunaStudy(SPACE), OptunaStudy(SPACE)
    narrow.study.set_user_attr(f"uses XLA: {KIND}", True)

    for study in (narrow, wide):
        study.run(trainer, num_trials=1)

    assert wide.study.user_attrs[f"uses XLA: {KIND}"]


def test_a_trainer_refuses_an_unknown_jit(loops):
    with pytest.raises(ValueError, match=r'`jit` must be True, False or "auto", got 1'):
        Trainer(loops, epochs=2, jit=1)
