"""What is true of workers that join a study: alone, several on one machine, stopped, killed, refused."""

import json
import os
import signal
import time

import pytest
from typer.testing import CliRunner

import pipeline
from pipeline.cli import app
from pipeline.console.events import Note, TrialDone
from pipeline.console.stopping import Stopper, Terminated
from pipeline.report.status import in_words, read_status
from pipeline.state.ownership import ForeignRun
from pipeline.state.run_directory import RunDirectory
from pipeline.steps.search import storage_of
from pipeline.workers.joining import run_worker, seconds_left
from pipeline.workers.local import LocalWorkers
from studies import OptunaStudy
from studies.storage import database as storages
from tests.pipeline.console.test_stopping import StopsAfter

CONFIG = {
    "study.num_trials": 1,
    "study.epochs": 3,
    "study.top_retrained": 0,
    "range_test.optimizers": ["sgd"],
    "range_test.num_steps": 60,
    "range_test.repeats": 1,
}


def config(**changed):
    return pipeline.builtin_config({**CONFIG, **changed}, environ={})


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of one trial, whose study others may join."""
    folder = tmp_path_factory.mktemp("run")
    pipeline.run_stage(config(), out=folder / "out", state=folder / "state")
    return folder


@pytest.fixture
def joined(begun):
    """The same study with two more slots than have ended."""
    study = OptunaStudy.join(storage_of(config(), directory(begun)))
    study.add_slots(len(study.results()) + 2)
    return study


def directory(folder):
    return RunDirectory(folder / "out", folder / "state")


def work(folder, *, stopper=None, settings=None, **options):
    events = []
    run_worker(
        settings or config(),
        out=folder / "out",
        state=folder / "state",
        on_event=events.append,
        stopper=stopper,
        **options,
    )
    return events


def test_a_worker_trains_what_waits_and_leaves_the_results_to_the_run(begun, joined):
    before = (begun / "out/summary.json").stat().st_mtime_ns
    events = work(begun, worker_id="mine")

    assert joined.progress().num_waiting == 0
    assert len([event for event in events if isinstance(event, TrialDone)]) == 2
    assert (begun / "out/summary.json").stat().st_mtime_ns == before
    assert "mine" in {seen.worker.id for seen in joined.progress().workers}


def test_a_worker_that_is_stopped_gives_its_trial_back_and_the_next_one_goes_on_at_its_epoch(begun, joined):
    number = len(joined.results())
    with pytest.raises(Terminated):
        work(begun, stopper=StopsAfter(2, Terminated()))
    assert joined.progress().num_waiting == 2
    assert (begun / f"state/checkpoints/slot-{number}.npz").exists()
    events = work(begun)

    assert f"trial {number} goes on after epoch 2 of 3" in [e.text for e in events if isinstance(e, Note)]
    assert joined.progress().num_ended == number + 2


def test_a_worker_with_another_config_is_refused_with_what_differs(begun):
    with pytest.raises(ForeignRun, match=r"(?s)otherwise than this worker.s config.*epochs: was 3, now 5"):
        work(begun, settings=config(**{"study.epochs": 5}))


def test_status_tells_slots_and_workers(begun, joined):
    claimed = joined._slots.claim(joined._retry, joined.num_slots)
    joined._slots.database.record_heartbeat(claimed.trial_id)
    status = read_status(config(), out=begun / "out", state=begun / "state")
    trial = joined._slots.storage.get_trial(claimed.trial_id)
    joined._slots.give_back(trial)

    assert status["slots"] == {"all": claimed.slot + 2, "waiting": 1, "running": 1, "ended": claimed.slot}
    (own,) = [worker for worker in status["workers"] if worker["trial"] is not None]
    assert own["trial"] == claimed.slot
    assert 0 <= own["last_seen_s"] < 60
    assert f"1 in training, 1 wait; worker {own['id']} trains trial {claimed.slot} and was seen" in in_words(status)
    assert json.dumps(status)


def lrrt(*arguments):
    ended = CliRunner().invoke(app, list(arguments), prog_name="lrrt")
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture
def search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search.toml").write_text(lrrt("init")[1])
    return "search.toml"


def test_a_study_that_does_not_exist_ends_with_2_and_makes_nothing(search, tmp_path):
    code, shown, told = lrrt("worker", search)

    assert (code, shown) == (2, "")
    assert "state/study.db must hold a study, but it holds none" in told
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_a_storage_that_does_not_answer_ends_with_69_and_never_shows_its_password(search, verbose, monkeypatch):
    monkeypatch.setattr(storages, "OPENING_S", 0.2)
    monkeypatch.setenv("LRRT_STORAGE", "postgresql://me:s3cret@127.0.0.1:9/studies")
    code, shown, told = lrrt("worker", search, *verbose)

    assert (code, shown) == (69, "")
    assert "The storage at 127.0.0.1:9/studies did not answer for 0.2 s" in told
    assert "s3cret" not in told


def test_no_workers_are_refused(search):
    code, _, told = lrrt("run", search, "--workers", "0")

    assert code == 2
    assert "--workers" in told


def test_several_workers_share_a_run_and_one_that_is_killed_is_told_and_replaced(tmp_path):
    settings = config(**{"study.num_trials": 8, "study.epochs": 12, "study.patience": 1.0})
    folder = tmp_path / "two words"
    storage = storage_of(settings, directory(folder))
    events, killed = [], []

    def on_event(event):
        events.append(event)
        if isinstance(event, TrialDone) and not killed:
            seen = [one for one in OptunaStudy.join(storage).progress().workers if one.slot is not None]
            killed.extend(seen[:1])
            for one in killed:
                os.kill(one.worker.pid, signal.SIGKILL)

    report = pipeline.run_stage(
        settings, out=folder / "out", state=folder / "state", workers=LocalWorkers(2), on_event=on_event
    )

    assert [trial.number for trial in report.trials] == list(range(8))
    assert killed
    assert any("was killed by signal 9; its trial goes to another" in e.text for e in events if isinstance(e, Note))
    assert sorted(event.number for event in events if isinstance(event, TrialDone)) == list(range(8))
    assert OptunaStudy.join(storage).progress().num_running == 0
    assert (folder / "out/summary.json").exists()


def test_a_job_s_end_is_known_where_its_scheduler_tells_it():
    assert seconds_left({}) is None
    assert seconds_left({"SLURM_JOB_END_TIME": "soon"}) is None
    assert seconds_left({"SLURM_JOB_END_TIME": str(time.time() + 100)}) == pytest.approx(40, abs=5)
    assert seconds_left({"SLURM_JOB_END_TIME": "0"}) == 0.0


def test_a_worker_whose_parent_has_ended_stops(monkeypatch):
    stopper = Stopper(ends_with_parent=True)
    assert stopper.reason() is None
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert isinstance(stopper.reason(), Terminated)
