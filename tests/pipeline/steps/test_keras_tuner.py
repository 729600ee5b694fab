"""What is true of a stage that KerasTuner searches: it is asked, continued and shared as any other; on a bowl."""

from dataclasses import replace

import pytest

import pipeline
from pipeline.console.events import StudyStarted, TrialDone
from pipeline.failures import Terminated
from pipeline.report.status import read_status
from pipeline.stage import go_on, train
from studies import Worker
from tests.pipeline.bowl_task import bowl_run

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture(params=["its own storage", "a shared storage"])
def begun(request, tmp_path):
    """A run that was stopped when two of its four trials had ended: its config and its folder."""
    storage = f"sqlite:///{tmp_path}/shared.db" if request.param == "a shared storage" else ""
    config = pipeline.builtin_config(
        {
            "study.engine": "keras_tuner",
            "study.sampler": "random",
            "study.num_trials": 4,
            "study.epochs": 4,
            "study.top_retrained": 0,
            "study.storage": storage,
            "range_test.optimizers": ["sgd"],
            "range_test.num_steps": 60,
        },
        environ={},
    )

    def stop(event):
        if isinstance(event, TrialDone) and event.result.number == 2:
            raise Terminated("stopped by SIGTERM")

    with pytest.raises(Terminated):
        go_on(bowl_run(config, tmp_path, on_event=stop))
    return config, tmp_path


def test_its_status_has_the_trials_that_ended_and_asking_writes_nothing(begun):
    config, folder = begun
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    status = read_status(config, out=folder / "out", state=folder / "state")

    assert status["phase"] == "study"
    assert status["num_trials"]["ended"] == 2
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {path: at for path, at in after.items() if not path.name.endswith(("-shm", "-wal"))} == {
        path: at for path, at in before.items() if not path.name.endswith(("-shm", "-wal"))
    }


def test_a_worker_goes_on_with_it_where_it_was_left(begun):
    config, folder = begun
    events = []
    run = replace(bowl_run(config, folder, on_event=events.append), worker=Worker.here("other"), owns_folders=False)
    train(run, run.prepare(config, run.stopper, run.note))
    (started,) = (event for event in events if isinstance(event, StudyStarted))

    assert started.num_done == 2
    assert [event.result.number for event in events if isinstance(event, TrialDone)] == [2, 3]
    assert len(go_on(bowl_run(config, folder)).trials) == 4
