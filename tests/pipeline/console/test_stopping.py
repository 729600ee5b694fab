"""Shows that a run that is stopped goes on where it was, and ends as if it had not been stopped."""

import os
import signal
import time

import pytest

import pipeline
from pipeline.console.events import Note, TrialDone
from pipeline.console.stopping import Stopper, seconds_left
from pipeline.failures import Interrupted, Terminated, TimeUsedUp
from pipeline.stage import go_on
from pipeline.task.preparation import prepare
from tests.pipeline.bowl_task import bowl_run

pytestmark = pytest.mark.usefixtures("blank_pictures")

CONFIG = {
    "study.num_trials": 3,
    "study.epochs": 4,
    "study.top_retrained": 0,
    "range_test.optimizers": ["sgd"],
    "range_test.num_steps": 60,
    "range_test.repeats": 1,
}


class StopsAfter(Stopper):
    """Stops a run after so many epochs of trials."""

    def __init__(self, num_epochs, reason):
        super().__init__()
        self.left, self.why = num_epochs, reason

    def reason(self):
        self.left -= 1
        return self.why if self.left <= 0 else None

    def check(self):
        pass


def config_of(engine="optuna"):
    return pipeline.builtin_config({**CONFIG, "study.engine": engine, "study.sampler": "random"}, environ={})


def run(folder, *, stopper=None, engine="optuna"):
    events, config = [], config_of(engine)
    report = pipeline.run_stage(
        config, out=folder / "out", state=folder / "state", on_event=events.append, stopper=stopper
    )
    return report, events


def losses(report):
    return [(trial.number, trial.config, trial.train_losses, trial.val_losses) for trial in report.trials]


@pytest.mark.parametrize("engine", ["optuna", pytest.param("keras_tuner", marks=pytest.mark.long)])
def test_a_trial_that_was_stopped_goes_on_and_ends_with_the_losses_of_one_that_was_not(tmp_path, engine):
    whole, _ = run(tmp_path / "whole", engine=engine)
    num_epochs = sum(len(trial.val_losses) for trial in whole.trials[:2]) + 2  # ends in the middle of the last trial
    with pytest.raises(Terminated):
        run(tmp_path / "stopped", stopper=StopsAfter(num_epochs, Terminated()), engine=engine)

    assert (tmp_path / "stopped/state/checkpoints/trial-2.npz").exists()
    assert not (tmp_path / "stopped/out/summary.json").exists()

    report, events = run(tmp_path / "stopped", engine=engine)

    assert losses(report) == losses(whole)
    assert [event.result.number for event in events if isinstance(event, TrialDone)] == [2]
    assert [e.text for e in events if isinstance(e, Note) and "goes on" in e.text] == [
        "trial 2 goes on after epoch 2 of 4"
    ]
    assert not (tmp_path / "stopped/state/checkpoints/trial-2.npz").exists()


def test_a_broken_checkpoint_costs_its_trial_s_epochs_and_nothing_else(tmp_path):
    with pytest.raises(TimeUsedUp):
        go_on(bowl_run(config_of(), tmp_path, stopper=StopsAfter(2, TimeUsedUp())))
    (tmp_path / "state/checkpoints/trial-0.npz").write_bytes(b"torn")

    assert len(go_on(bowl_run(config_of(), tmp_path)).trials) == 3


def test_a_run_without_time_left_stops_before_its_first_trial(tmp_path):
    with pytest.raises(TimeUsedUp):
        go_on(bowl_run(config_of(), tmp_path, stopper=Stopper(max_time_s=0.0)))


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, Interrupted), (signal.SIGTERM, Terminated)])
def test_a_signal_waits_while_it_is_deferred_and_raises_elsewhere(number, kind):
    stopper = Stopper()
    with stopper.heeding_signals():
        with stopper.deferred():
            os.kill(os.getpid(), number)
            assert isinstance(stopper.reason(), kind)
        with pytest.raises(kind):
            stopper.check()
    with stopper.heeding_signals(), pytest.raises(kind):
        os.kill(os.getpid(), number)


def test_a_signal_amid_the_imports_waits_for_their_end(monkeypatch):
    """Keras takes an exception that comes amid its imports for a library that is missing."""
    imported = []

    def import_keras():
        os.kill(os.getpid(), signal.SIGTERM)
        imported.append("all")

    monkeypatch.setattr("pipeline.task.preparation.import_keras", import_keras)
    stopper = Stopper()
    with stopper.heeding_signals(), pytest.raises(Terminated):
        prepare(pipeline.builtin_config({}, environ={}), stopper)

    assert imported == ["all"]


def test_a_second_signal_breaks_nothing_off_and_afterwards_all_is_as_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stopper = Stopper()
    with stopper.heeding_signals():
        with pytest.raises(Terminated):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert isinstance(stopper.reason(), Terminated)

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_end_of_the_time_reaches_what_would_never_ask_for_it():
    stopper = Stopper(max_time_s=0.3)
    with stopper.heeding_signals(), pytest.raises(TimeUsedUp), stopper.raising_at_limit():
        time.sleep(60)


def test_time_is_used_up_when_it_has_passed():
    assert Stopper().reason() is None
    assert Stopper(3600).reason() is None
    assert isinstance(Stopper(0.0).reason(), TimeUsedUp)


def test_a_job_s_end_is_known_if_its_scheduler_tells_it():
    assert seconds_left({}) is None
    assert seconds_left({"SLURM_JOB_END_TIME": "soon"}) is None
    assert seconds_left({"SLURM_JOB_END_TIME": str(time.time() + 100)}) == pytest.approx(40, abs=5)
    assert seconds_left({"SLURM_JOB_END_TIME": "0"}) == 0.0


def test_a_process_whose_parent_has_ended_stops(monkeypatch):
    stopper = Stopper(ends_with_parent=True)
    assert stopper.reason() is None
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert isinstance(stopper.reason(), Terminated)
