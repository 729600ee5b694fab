"""What is true of processes that share a stage: alone, several on one machine, stopped, killed, refused."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

import pipeline
from pipeline.console.events import Note, RangeTestDone, TrialDone
from pipeline.failures import ForeignRun, RunLocked, Terminated
from pipeline.report.status import in_words, read_status
from pipeline.run import Run
from pipeline.sharing import run_worker
from pipeline.stage import go_on, rewrite_report
from pipeline.state.run_directory import RunDirectory
from pipeline.steps.given_bounds import bounds_by_hand
from pipeline.workers.local import LocalWorkers
from studies import OptunaStudy, Watcher
from studies.storage import database as storages
from studies.storage.retrying import Retrying
from studies.work.search import Search
from tests.pipeline.bowl_task import BowlWorkers, StageBowl, bowl_run
from tests.pipeline.console.test_stopping import StopsAfter

pytestmark = pytest.mark.usefixtures("blank_pictures")

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
def begun(tmp_path_factory, blank_pictures):
    """A run of one trial, whose study others may join."""
    folder = tmp_path_factory.mktemp("run")
    go_on(bowl_run(config(), folder))
    return folder


@pytest.fixture
def joined(begun, on_bowl):
    """The same study with two more trials than have ended."""
    study = OptunaStudy.join(Run.make(config(), begun / "out", begun / "state").storage)
    study.set_budget(len(study.results()) + 2)
    return study


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

    assert joined.progress().num_open == 0
    assert len([event for event in events if isinstance(event, TrialDone)]) == 2
    assert (begun / "out/summary.json").stat().st_mtime_ns == before
    assert "mine" in {seen.worker.id for seen in joined.progress().workers}


def test_a_worker_that_is_stopped_gives_its_trial_back_and_the_next_one_goes_on_at_its_epoch(begun, joined):
    number = len(joined.results())
    with pytest.raises(Terminated):
        work(begun, stopper=StopsAfter(2, Terminated()))
    assert joined.progress().num_open == 2
    assert (begun / f"state/checkpoints/trial-{number}.npz").exists()
    events = work(begun)

    assert f"trial {number} goes on after epoch 2 of 3" in [e.text for e in events if isinstance(e, Note)]
    assert joined.progress().num_ended == number + 2


def test_a_worker_with_another_config_is_refused_with_what_differs(begun, on_bowl):
    with pytest.raises(ForeignRun, match=r"(?s)belongs to a study that is defined otherwise.*epochs: was 3, now 5"):
        work(begun, settings=config(**{"study.epochs": 5}))


def test_status_says_what_workers_are_at(begun, joined):
    number = len(joined.results())
    job = Search(joined, StageBowl(epochs=3), None, Watcher(), Retrying(""))
    job.on_look(joined.board.table())
    piece = job.next_piece(joined.board.table(), 1)
    claim = joined.board.claim(piece.key, piece.values, piece.distributions)
    joined.board.database.record_heartbeat(claim.trial_id)
    status = read_status(config(), out=begun / "out", state=begun / "state")
    joined.board.give_back(claim)

    assert status["slots"] == {"all": number + 2, "waiting": 1, "running": 1, "ended": number}
    (seen,) = [worker for worker in status["workers"] if worker["trial"] is not None]
    assert seen["trial"] == number
    assert 0 <= seen["last_seen_s"] < 60
    assert f"1 in training, 1 wait; worker {seen['id']} trains trial {number} and was seen" in in_words(status)
    assert json.dumps(status)


def test_a_study_in_given_bounds_is_joined_reported_and_asked_without_naming_them_again(tmp_path, on_bowl):
    settings = config(**{"range_test.optimizers": ["sgd", "adam"]})
    given = bounds_by_hand(settings, {"adam": (1e-4, 1e-2)})
    where = {"out": tmp_path / "out", "state": tmp_path / "state"}
    pipeline.run_search(settings, bounds=given, **where)

    assert rewrite_report(settings, **where).best.config.optimizer_name == "adam"
    assert read_status(settings, **where)["phase"] == "done"
    assert [type(event).__name__ for event in work(tmp_path, settings=settings)][-1] == "StageDone"


@pytest.mark.long
def test_workers_that_come_before_a_study_in_given_bounds_take_part(tmp_path):
    """The process that began them comes last, since it still loads its data."""
    settings = config(**{"study.num_trials": 3, "study.widen": False, "study.storage": f"sqlite:///{tmp_path}/s.db"})
    bounds = bounds_by_hand(settings, {"sgd": (1e-2, 1e-1)})
    run = replace(bowl_run(settings, tmp_path), given=bounds)
    events = []
    with LocalWorkers(2).at_work(replace(run, tell=events.append)) as have_ended:
        wait_for_all(have_ended)

    assert not [event.text for event in events if isinstance(event, Note)]
    study = OptunaStudy.join(settings.study.storage)
    assert {trial.config.optimizer_name for trial in study.results()} == {"sgd"}
    assert all(1e-2 <= trial.config.lr <= 1e-1 for trial in study.results())
    assert len(study.results()) == 3


def wait_for_all(have_ended):
    end = time.monotonic() + 120
    while not have_ended():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def search(lrrt, tmp_path):
    (tmp_path / "search.toml").write_text(lrrt("init")[1])
    return "search.toml"


def test_a_study_that_does_not_exist_ends_with_2_and_makes_nothing(lrrt, search, tmp_path):
    code, shown, told = lrrt("worker", search)

    assert (code, shown) == (2, "")
    assert "state/study.db must hold a study, but it holds none" in told
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_a_storage_that_does_not_answer_ends_with_69_and_never_shows_its_password(lrrt, search, verbose, monkeypatch):
    monkeypatch.setattr(storages, "OPENING_S", 0.2)
    monkeypatch.setenv("LRRT_STORAGE", "postgresql://me:s3cret@127.0.0.1:9/studies")
    code, shown, told = lrrt("worker", search, *verbose)

    assert (code, shown) == (69, "")
    assert "The storage at 127.0.0.1:9/studies did not answer for 0.2 s" in told
    assert "s3cret" not in told


def test_no_workers_are_refused(lrrt, search):
    code, _, told = lrrt("run", search, "--workers", "0")

    assert code == 2
    assert "--workers" in told


@pytest.mark.parametrize("engine", ["optuna", pytest.param("keras_tuner", marks=pytest.mark.long)])
def test_several_workers_share_a_run_and_one_that_is_killed_is_told_and_replaced(engine, tmp_path):
    settings = config(
        **{
            "study.num_trials": 8,
            "study.epochs": 60,
            "study.patience": 1.0,
            "study.engine": engine,
            "study.sampler": "random",
        }
    )
    folder = tmp_path / "two words"
    storage = Run.make(settings, folder / "out", folder / "state").storage
    events, killed = [], []

    def on_event(event):
        events.append(event)
        if isinstance(event, TrialDone) and not killed:
            seen = [one for one in OptunaStudy.join(storage).progress().workers if one.key is not None]
            killed.extend(seen[:1])
            for one in killed:
                os.kill(one.worker.pid, signal.SIGKILL)

    report = go_on(bowl_run(settings, folder, on_event=on_event), BowlWorkers(2))

    assert [trial.number for trial in report.trials] == list(range(8))
    assert killed
    assert any("was killed by signal 9; others do what it left" in e.text for e in events if isinstance(e, Note))
    assert sorted(event.result.number for event in events if isinstance(event, TrialDone)) == list(range(8))
    assert OptunaStudy.join(storage).progress().num_running == 0
    assert (folder / "out/summary.json").exists()


@pytest.mark.parametrize("sampler", ["tpe", "arms"])
def test_range_tests_of_workers_are_shown_once_each_before_the_trials_that_need_them(sampler, tmp_path):
    events = []
    settings = {"range_test.optimizers": ["sgd", "adam"], "study.sampler": sampler}

    def run(num_trials):
        changed = config(**{**settings, "study.num_trials": num_trials})
        go_on(bowl_run(changed, tmp_path, on_event=events.append), BowlWorkers(1))

    run(3)
    shown = [
        event.label if isinstance(event, RangeTestDone) else event.result.config.optimizer_name
        for event in events
        if isinstance(event, RangeTestDone | TrialDone)
    ]
    tests = [event.label for event in events if isinstance(event, RangeTestDone)]
    assert sorted(tests) == ["adam", "sgd"]
    assert all(shown.index(name) < len(shown) - 1 - shown[::-1].index(name) for name in tests)

    events.clear()
    run(4)
    assert [event.result.number for event in events if isinstance(event, TrialDone)] == [3]
    assert not [event for event in events if isinstance(event, RangeTestDone)]


@pytest.mark.long
def test_processes_with_one_storage_share_range_tests_and_trials_and_each_writes_the_results_in_its_own_folder(
    tmp_path,
):
    """As on machines that share a database and no folder; both run the same call."""
    settings = config(
        **{
            "study.num_trials": 4,
            "range_test.optimizers": ["sgd", "adam"],
            "study.storage": f"sqlite:///{tmp_path}/s.db",
        }
    )
    program = (
        "import sys, pipeline; from tests.pipeline.workers.test_worker import CONFIG\n"
        "changed = {'study.num_trials': 4, 'range_test.optimizers': ['sgd', 'adam'], 'study.storage': sys.argv[1]}\n"
        "pipeline.run_stage(pipeline.builtin_config({**CONFIG, **changed}, environ={}),"
        " out=sys.argv[2] + '/out', state=sys.argv[2] + '/state')"
    )
    arguments = [settings.study.storage, str(tmp_path / "there")]
    other = subprocess.Popen([sys.executable, "-c", program, *arguments], env=os.environ | {"PYTHONPATH": os.getcwd()})
    events = []
    report = pipeline.run_stage(
        settings, out=tmp_path / "here/out", state=tmp_path / "here/state", on_event=events.append
    )

    assert other.wait(120) == 0
    summaries = [json.loads((tmp_path / place / "out/summary.json").read_text()) for place in ("here", "there")]
    assert [summary["num_trials"]["ended"] for summary in summaries] == [4, 4]
    assert summaries[0]["best"] == summaries[1]["best"]
    assert len(OptunaStudy.join(settings.study.storage).study.get_trials()) >= 4
    assert len(report.trials) == 4


def test_a_second_run_in_the_same_folders_joins_the_first_if_they_share_a_storage(tmp_path, impatient):
    settings = config(**{"study.storage": f"sqlite:///{tmp_path}/s.db", "study.num_trials": 2})
    hold = threading.Event()
    first = threading.Thread(target=lambda: _hold(tmp_path, hold))
    first.start()
    wait_for(tmp_path / "state/lock_holder.json")
    threading.Timer(1.0, hold.set).start()
    report = go_on(bowl_run(settings, tmp_path))
    first.join()

    assert len(report.trials) == 2
    with pytest.raises(RunLocked):
        hold.clear()
        first = threading.Thread(target=lambda: _hold(tmp_path, hold))
        first.start()
        wait_for(tmp_path / "state/lock_holder.json")
        go_on(bowl_run(config(), tmp_path))
    hold.set()
    first.join()


def wait_for(file):
    end = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < end, f"{file} did not appear"
        time.sleep(0.05)


def _hold(folder, event):
    with RunDirectory(folder / "out", folder / "state").locked():
        event.wait(60)
