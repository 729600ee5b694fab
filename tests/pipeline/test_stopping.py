"""Shows that a run that is stopped goes on where it was, and ends as if it had not been stopped."""

import os
import re
import signal
import subprocess
import sys

import pytest

import pipeline
from pipeline.config_file import to_toml
from pipeline.events import Note, TrialDone
from pipeline.stopping import Interrupted, Stopper, Terminated, TimeUsedUp

CONFIG = {"study.num_trials": 3, "study.epochs": 4, "range_test.num_steps": 60, "range_test.repeats": 1}


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


def run(folder, *, stopper=None, engine="optuna"):
    events = []
    config = pipeline.builtin_config({**CONFIG, "study.engine": engine, "study.sampler": "random"}, environ={})
    report = pipeline.run_stage(
        config, out=folder / "out", state=folder / "state", on_event=events.append, stopper=stopper
    )
    return report, events


def losses(report):
    return [(trial.number, trial.config, trial.train_losses, trial.val_losses) for trial in report.trials]


@pytest.mark.parametrize("engine", ["optuna", "keras_tuner"])
def test_a_trial_that_was_stopped_goes_on_and_ends_with_the_losses_of_one_that_was_not(tmp_path, engine):
    whole, _ = run(tmp_path / "whole", engine=engine)
    num_epochs = sum(len(trial.val_losses) for trial in whole.trials[:2]) + 2  # ends in the middle of the last trial
    with pytest.raises(Terminated):
        run(tmp_path / "stopped", stopper=StopsAfter(num_epochs, Terminated()), engine=engine)

    assert (tmp_path / "stopped/state/checkpoints/slot-2.npz").exists()
    assert not (tmp_path / "stopped/out/summary.json").exists()

    report, events = run(tmp_path / "stopped", engine=engine)

    assert losses(report) == losses(whole)
    assert [event.number for event in events if isinstance(event, TrialDone)] == [2]
    assert [e.text for e in events if isinstance(e, Note) and "goes on" in e.text] == [
        "trial 2 goes on after epoch 2 of 4"
    ]
    assert not (tmp_path / "stopped/state/checkpoints/slot-2.npz").exists()


def test_the_command_stopped_by_sigterm_in_a_trial_ends_as_if_it_had_not_been(tmp_path, pytestconfig):
    settings = {"study.num_trials": 1, "study.epochs": 30, "study.top_retrained": 0, "range_test.optimizers": ["adam"]}
    config = pipeline.builtin_config({**CONFIG, **settings}, environ={})
    (tmp_path / "search.toml").write_text(to_toml(config), encoding="utf-8")
    command = [sys.executable, "-m", "pipeline", "run", "search.toml", "--progress", "plain"]
    environment = {**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "study with optuna" in line:  # the signal waits for the first epoch's end
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 143

    where = {"out": tmp_path / "out", "state": tmp_path / "state"}
    events = []
    stopped = pipeline.run_stage(config, on_event=events.append, **where)
    whole = pipeline.run_stage(config, out=tmp_path / "whole/out", state=tmp_path / "whole/state")

    (told,) = [event.text for event in events if isinstance(event, Note)]
    assert re.fullmatch(r"trial 0 goes on after epoch \d+ of 30", told)
    assert losses(stopped) == losses(whole)


def test_a_broken_checkpoint_costs_its_trial_s_epochs_and_nothing_else(tmp_path):
    with pytest.raises(TimeUsedUp):
        run(tmp_path, stopper=StopsAfter(2, TimeUsedUp()))
    (tmp_path / "state/checkpoints/slot-0.npz").write_bytes(b"torn")
    report, _ = run(tmp_path)

    assert len(report.trials) == 3


def test_a_run_without_time_left_stops_before_its_first_trial(tmp_path):
    with pytest.raises(TimeUsedUp):
        run(tmp_path, stopper=Stopper(max_time_s=0.0))


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


def test_after_a_signal_the_next_sigint_ends_the_process_and_afterwards_all_is_as_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stopper = Stopper()
    with stopper.heeding_signals(), stopper.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_time_is_used_up_when_it_has_passed():
    assert Stopper().reason() is None
    assert Stopper(3600).reason() is None
    assert isinstance(Stopper(0.0).reason(), TimeUsedUp)
