"""Knows how a process joins a study that others share, from its storage alone, and trains trials until none waits."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.tables import StageConfig
from pipeline.console.events import Note, StageDone, StageStarted, Tell
from pipeline.console.stopping import Stopper
from pipeline.state.ownership import ForeignRun, differences
from pipeline.state.run_directory import RunDirectory
from pipeline.steps.search import FINGERPRINT, NAME, open_study, search, storage_of
from pipeline.task.fingerprints import Fields, study_fields
from pipeline.task.preparation import make_trainer, prepare
from studies import OptunaStudy, SearchSpace, Worker, kept_attributes
from studies.storage.database import address
from studies.storage.stored_study import SPACE

BEFORE_LIMIT_S = 60.0  # of a job's time: an epoch ends, and the trial is kept


def run_worker(
    config: StageConfig,
    *,
    out: Path | str = "out",
    state: Path | str = "state",
    worker_id: str | None = None,
    name: str = NAME,
    first: int = 0,
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> None:
    """Train trials of a study that another process made and whose slots it will gather; nothing is written to `out`.

    The run directory is not locked: the run that owns it may hold it meanwhile, on this or another machine. It need not
    be shared: then a trial that was interrupted begins anew elsewhere, and the best weights are trained again.

    Args:
        config: the study's own.
        out: the folder of the results.
        state: the folder where checkpoints and weights are kept, and, without a storage in the config, the study.
        worker_id: the same when this worker is started again; None for what its batch scheduler says.
        name: the study's.
        first: the number of its first trial.
        on_event: told what happens.
        stopper: may stop it.

    Raises:
        NoSuchStudy: where there is no study to join.
        ForeignRun: where its config is another one.
        StorageUnreachable, StorageOfAnotherVersion: where the storage cannot be used.
    """
    stopper = stopper or Stopper()
    directory = RunDirectory(Path(out), Path(state))
    url = storage_of(config, directory)
    attributes = kept_attributes(url, name)
    worker = Worker.here(worker_id)
    on_event(StageStarted(f"worker {worker.id} joins the study {name!r} in {address(url)}", directory.state))
    prepared = prepare(config, stopper)
    _check_same(attributes, study_fields(config, prepared.known_by, None), url)
    space = SearchSpace.from_dict(attributes[SPACE])
    study = open_study(config, directory, space, name=name, creates=False, worker=worker)
    assert isinstance(study, OptunaStudy), "a study that has a storage is shared"
    trainer = make_trainer(config, prepared.cache, prepared.task, on_note=lambda text: on_event(Note(text)))
    num_trials = first + study.num_slots
    search(
        config,
        directory,
        study,
        trainer,
        num_trials=num_trials,
        joins=True,
        first=first,
        tell=on_event,
        stopper=stopper,
    )
    on_event(StageDone(f"worker {worker.id}: no trial waits any more"))


def seconds_left(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how long a batch job may still work before its time limit, as far as its scheduler tells; else None."""
    try:
        end = float(environ["SLURM_JOB_END_TIME"])
    except (KeyError, ValueError):
        return None
    return max(0.0, end - time.time() - BEFORE_LIMIT_S)


def _check_same(attributes: Mapping[str, Any], own: Fields, url: str) -> None:
    """Refuse a study that is defined otherwise; bounds that were given by hand are the study's own affair."""
    kept = {key: value for key, value in attributes.get(FINGERPRINT, own).items() if key != "bounds"}
    told = differences(kept, own)
    if told:
        raise ForeignRun(
            "\n".join([f"The study in {address(url)} is defined otherwise than this worker's config:", *told])
            + "\nGive the worker the config that the study was made with."
        )
