"""A study ends early, and leaves out models, as its limits say; a trial ends with its time, even if it hangs."""

import contextlib
import math
import subprocess
import sys
import textwrap
import time

import keras
import pytest

from studies import (
    KerasTunerStudy,
    Limits,
    Objective,
    OptimizerRange,
    OptunaStudy,
    SearchSpace,
    Trainer,
    TrialConfig,
    TrialState,
    best_of,
    ranked,
)
from studies.training.time_limit import TimeLimit, TimeUp
from tests.studies.bowl import Bowl, Heard

SGD = SearchSpace((OptimizerRange("sgd", 1e-2, 0.2),), ("fixed",), (16, 32))
GAIN = Objective("val_gain", "max")


def opened(engine, folder, space=SGD, **options):
    if engine == "optuna":
        return OptunaStudy(space, storage=f"sqlite:///{folder}/study.db", **options)
    return KerasTunerStudy(space, directory=folder, sampler="random", **options)


@pytest.fixture(params=["optuna", "keras_tuner"])
def engine(request):
    return request.param


def test_a_study_ends_after_so_many_trials_without_a_better_score_and_goes_on_if_allowed_more(engine, tmp_path):
    notes = []
    watcher = Heard(on_note=notes.append)
    study = opened(engine, tmp_path, limits=Limits(stop_after=3), objective=GAIN)
    trainer = Bowl(objective=GAIN, metric=lambda config, epoch: -abs(math.log(config.lr / 0.05)))
    results = list(study.run(trainer, num_trials=40, watcher=watcher))

    assert len(results) == best_of(results).number + 4 < 40
    assert notes == [f"3 trials in a row brought no better val_gain, so the study ends after {len(results)} trials"]
    assert list(opened(engine, tmp_path, limits=Limits(stop_after=3)).run(trainer, num_trials=40)) == results
    assert len(opened(engine, tmp_path, limits=Limits(stop_after=6)).run(trainer, num_trials=40)) > len(results)
    assert len(opened(engine, tmp_path).run(trainer, num_trials=len(results) + 9)) == len(results) + 9


def test_a_study_ends_with_the_trial_that_reaches_the_target(engine, tmp_path):
    trainer = Bowl(objective=GAIN, metric=lambda config, epoch: 10 * config.lr)
    results = opened(engine, tmp_path, limits=Limits(target=1.2), objective=GAIN).run(trainer, num_trials=40)

    assert len(results) < 40
    assert [one.score >= 1.2 for one in results] == [False] * (len(results) - 1) + [True]


def test_a_model_that_is_too_large_is_not_trained_and_the_sampler_is_told_that_it_is_infeasible(engine, tmp_path):
    trainer = Bowl(size=lambda config: 100 * config.batch_size)
    study = opened(engine, tmp_path, limits=Limits(max_parameters=2000))
    results = study.run(trainer, num_trials=14)
    large = [one for one in results if one.config.batch_size == 32]
    stored = study.study.trials

    assert large
    assert {one.state for one in large} == {TrialState.INFEASIBLE}
    assert {config.batch_size for config in trainer.trained} == {16}
    assert "at most max_parameters=2000 parameters, this one has 3200" in large[0].error
    assert [trial.constraints["num_parameters"] > 0 for trial in stored] == [one in large for one in results]
    assert not set(map(id, ranked(results))) & set(map(id, large))


@pytest.mark.long
def test_two_workers_end_together_at_their_limit(tmp_path):
    program = textwrap.dedent(f"""
        from tests.studies.bowl import Bowl
        from tests.studies.judging.test_limits import GAIN, Limits, SGD, OptunaStudy
        trainer = Bowl(objective=GAIN, metric=lambda config, epoch: -config.lr, epoch_s=0.01)
        options = dict(storage="sqlite:///{tmp_path}/study.db", objective=GAIN, limits=Limits(stop_after=3))
        study = OptunaStudy(SGD, sampler="random", **options)
        print([one.number for one in study.run(trainer, num_trials=200)])
    """)
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    seen = {process.communicate()[0].strip().splitlines()[-1] for process in both}

    assert len(seen) == 1
    assert len(seen.pop().split(",")) < 60


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"stop_after": 0}, "`stop_after` must be >= 1"),
        ({"max_parameters": -1}, "`max_parameters` must be >= 1"),
        ({"target": math.nan}, "`target` must be finite"),
    ],
)
def test_limits_that_mean_nothing_are_refused(limits, message):
    with pytest.raises(ValueError, match=message):
        Limits(**limits)


def test_a_time_limit_interrupts_a_sleep_and_code_that_swallows_exceptions():
    began = time.monotonic()
    with pytest.raises(TimeUp), TimeLimit(0.2):
        try:
            time.sleep(60)
        except Exception:
            time.sleep(60)
    assert time.monotonic() - began < 30


def test_what_code_in_c_makes_of_the_end_of_the_time_is_the_end_of_the_time():
    with pytest.raises(TimeUp), TimeLimit(0.05):
        try:
            time.sleep(60)
        except TimeUp:
            raise RuntimeError("error_already_set") from None
    with pytest.raises(RuntimeError), TimeLimit(60.0):
        raise RuntimeError("of the model")
    with pytest.raises(RuntimeError), TimeLimit(0.05) as limit:
        with contextlib.suppress(TimeUp):
            time.sleep(60)
        with limit.shielded():
            raise RuntimeError("of who looks on")


def test_a_time_limit_waits_while_it_is_shielded_and_is_gone_after_its_block():
    with TimeLimit(0.05) as limit:
        with limit.shielded():
            time.sleep(0.1)
        with pytest.raises(TimeUp):
            limit.check()
    time.sleep(0.1)


class Sleeper(keras.callbacks.Callback):
    """Hangs in its second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            time.sleep(600)


def test_a_trial_that_hangs_in_a_callback_ends_as_timed_out_with_what_it_reached(loops):
    config = TrialConfig("sgd", "fixed", 0.2, 32)
    whole = Trainer(loops, epochs=4, patience=None).train(config).result  # traces: two epochs take little of the time
    trainer = Trainer(loops, epochs=4, patience=None, callbacks=lambda: [Sleeper()], max_trial_s=3.0)
    trained = trainer.train(config)

    assert trained.result.state is TrialState.TIMED_OUT
    assert len(trained.result.val_losses) == 2
    assert trained.result.score == min(trained.result.val_losses)
    assert best_of([trained.result]) is trained.result
    shown = trainer.as_trained(trained.result, trained.best_weights).evaluate(
        *loops_validation(), verbose=0, return_dict=True
    )
    assert shown["loss"] == pytest.approx(trained.result.score, rel=1e-4)
    assert whole.val_losses[:2] == trained.result.val_losses


def loops_validation():
    from pipeline.digits_example import load_data

    return load_data()["validation"]


def test_a_slow_trial_ends_after_the_epoch_in_which_its_time_was_used_up(loops):
    class Slow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.4)

    config = TrialConfig("sgd", "fixed", 0.01, 32)
    Trainer(loops, epochs=1).train(config)  # traces: an epoch takes little of the time
    trainer = Trainer(loops, epochs=400, patience=None, callbacks=lambda: [Slow()], max_trial_s=1.5)
    result = trainer.train(config).result
    assert result.state is TrialState.TIMED_OUT
    assert 1 <= len(result.val_losses) < 20


@pytest.mark.long
def test_a_process_whose_trial_cannot_be_interrupted_stores_what_it_reached_and_ends_with_75(tmp_path):
    program = textwrap.dedent(f"""
        import signal, time
        from studies.sharing import shared_work
        from tests.studies.bowl import Bowl, Heard
        from tests.studies.judging.test_limits import SGD, OptunaStudy
        shared_work.HUNG_S = 0.5
        def hang(ended):
            if ended.number == 1 and ended.epoch == 3:
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                time.sleep(600)
        trainer = Bowl()
        trainer.max_trial_s = 0.5
        OptunaStudy(SGD, storage="sqlite:///{tmp_path}/study.db").run(
            trainer, num_trials=4, watcher=Heard(on_epoch_end=hang))
    """)
    hung = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    study = OptunaStudy(SGD, storage=f"sqlite:///{tmp_path}/study.db")
    first = list(study.results())
    results = study.run(Bowl(), num_trials=4)

    assert hung.returncode == 75, hung.stderr
    assert "the same command goes on" in hung.stderr
    assert [one.state for one in first] == [TrialState.COMPLETED, TrialState.TIMED_OUT]
    assert len(first[1].val_losses) >= 2
    assert not first[1].is_candidate
    assert list(results[:2]) == first
    assert len(results) == 4
