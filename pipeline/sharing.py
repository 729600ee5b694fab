"""Share a stage among processes: join one as a worker, or hand it to a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lrrt import RangeTestResult
from pipeline.config.tables import StageConfig
from pipeline.console.events import StageDone, StageStarted, Tell
from pipeline.console.stopping import Stopper
from pipeline.run import Run
from pipeline.stage import finished, go_on, train
from pipeline.steps.opening import earlier, with_given, within
from pipeline.steps.range_tests import know_ended
from pipeline.workers.local import LocalWorkers
from pipeline.workers.submission import new_submission, print_job, submit
from studies import Worker
from studies.storage.urls import address


def run_worker(
    config: StageConfig,
    *,
    bounds: RangeTestResult | None = None,
    out: Path | str = "out",
    state: Path | str = "state",
    worker_id: str | None = None,
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> None:
    """Do what is open of a stage that other processes run, until nothing is left, and leave the results to them.

    The run directory is not locked, and need not be shared: then a trial that was interrupted begins anew elsewhere,
        and the weights of the best trial are trained again.

    Args:
        config: the stage's own.
        bounds: those that `run_search` was given, for a worker that may come before the study; None if there are none,
            or if the study has them.
        out: the folder of the results, to which nothing is written but TensorBoard's logs.
        state: the folder of checkpoints and weights, and, without a storage in the config, of the study.
        worker_id: the same when this worker is started again; None for what its batch scheduler says.
        on_event: is called with each event.
        stopper: may stop it.

    Raises:
        NoBounds: if the config's batch sizes cannot be searched in the bounds.
        NoSuchStudy: if there is nothing to join.
        ForeignRun: if the study is another config's.
        StorageUnreachable, StorageOfAnotherVersion: if the storage cannot be used.
    """
    run = replace(Run.make(config, out, state, on_event, stopper), worker=Worker.here(worker_id), owns_folders=False)
    run = with_given(run if bounds is None else within(run, bounds), must_exist=not config.study.storage)
    know_ended(run)
    run.tell(StageStarted(f"worker {run.worker.id} joins the study in {address(run.storage)}", run.directory.state))
    train(run, run.prepare(run.config, run.stopper, run.note))
    run.tell(StageDone(f"worker {run.worker.id}: nothing is left to do"))


def submit_stage(
    config: StageConfig,
    *,
    config_file: Path,
    options: Mapping[str, Any],
    num_workers: int,
    app_dir: Path = Path(),
    dry_run: Callable[[str], None] | None = None,
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> Path:
    """Hand the stage to the cluster of the config, or run it with workers on this machine; return the summary's path.

    Args:
        config: what is searched.
        config_file: where it was read from, which the tasks read again.
        options: of `lrrt run`, by name, "out" and "state" among them.
        num_workers: tasks at a time.
        app_dir: where workers on this machine find the task's module.
        dry_run: takes the job as text, if nothing is to be written or submitted.
        on_event: is called with each event.
        stopper: may stop a run on this machine.

    Raises:
        NoSharedStorage, SlurmError, RunLocked: see `pipeline.workers.submission.submit`.
    """
    run = Run.make(config, options["out"], options["state"], on_event, stopper)
    submission = new_submission(config, num_workers=num_workers, config_file=config_file, options=options)
    if dry_run is not None:
        print_job(run, submission, dry_run)
    elif config.cluster.kind == "local":
        go_on(run, LocalWorkers(num_workers, app_dir))
    elif (opened := earlier(with_given(run))) is not None and opened.is_unchanged and finished(run, opened):
        run.tell(StageStarted("nothing left to do", run.directory.out))
    else:
        submit(run, submission)
    return run.directory.summary
