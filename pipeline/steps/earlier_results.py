"""Read the trials of an earlier study of the same model, from its results or from its storage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.config.storage_url import source_without_password
from pipeline.failures import BadWarmStart
from pipeline.run import NAME, Run
from pipeline.state.database_file import fault_of
from pipeline.state.json_files import as_json
from pipeline.state.ownership import differences
from pipeline.steps.proposals.first_trials import WARM, WarmStart, warm_start_from
from pipeline.steps.stage_studies import FINGERPRINT, name_of
from pipeline.steps.widening import MAX_WIDENINGS
from pipeline.task.fingerprints import TaskPrint
from studies import NoSuchStudy, StorageOfAnotherVersion, StorageUnreachable, TrialResult, stored_attributes
from studies.keras_tuner_study import url_of
from studies.sharing.stored_study import stored_results
from studies.storage.urls import address

WHAT = "--warm-start must be a folder with the results of an earlier study, or its storage"


def earlier_results(run: Run, task: TaskPrint) -> WarmStart | None:
    """Return the earlier study that the config names; None if it names none, or the run's study has begun.

    Args:
        run: the run.
        task: the print of its task.

    Raises:
        BadWarmStart: if there is no such study, it has no trials, or it is another model's.
    """
    where = run.config.study.warm_start
    if not where:
        return None
    try:
        begun = stored_attributes(run.storage, NAME)
    except NoSuchStudy:
        begun = None
    if begun is not None:
        if WARM not in begun:
            run.note("--warm-start has no effect: the study has begun without it")
        return None
    source = address(where) if "://" in where else source_without_password(where)
    model, results = _read(where, source)
    lines = differences({"model": model}, json.loads(as_json({"model": task.model})))
    if lines:
        raise BadWarmStart("\n".join([f"--warm-start must be a study of the same model, but {source} is not:", *lines]))
    if not results:
        raise BadWarmStart(f"--warm-start must have trials that have ended, but {source} has none.")
    objective, scored = run.config.study.objectives[0], results[0].objective.name
    if scored != objective:
        raise BadWarmStart(
            f"--warm-start must be a study of the objective {objective}, but that of {source} is {scored}."
        )
    return warm_start_from(source, results, run.config.study.max_gap)


def _read(where: str, source: str) -> tuple[dict[str, Any], list[TrialResult]]:
    path = Path(where)
    try:
        if "://" in where:
            return _of_storage(where)
        if path.is_file():
            return _of_file(path)
        for folder in (path, path / "out"):
            if (folder / "summary.json").is_file():
                return _of_results(folder)
        for folder in (path, path / "state"):
            if (folder / "study.db").is_file():
                return _of_file(folder / "study.db")
    except (NoSuchStudy, StorageUnreachable, StorageOfAnotherVersion) as error:
        raise BadWarmStart(f"{WHAT}, but {source} holds none: {error}") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise BadWarmStart(f"{WHAT}, but {source} cannot be read: {error!r:.200}.") from error
    raise BadWarmStart(f"{WHAT}, got {source!r}, which has neither a summary.json nor a study.db.")


def _of_results(folder: Path) -> tuple[dict[str, Any], list[TrialResult]]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    if "model" not in summary:
        raise BadWarmStart(f"{folder} was written by an earlier version, without its model. Give its storage instead.")
    lines = (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    return dict(summary["model"]), [TrialResult.from_dict(json.loads(line)) for line in lines]


def _of_file(file: Path) -> tuple[dict[str, Any], list[TrialResult]]:
    fault = fault_of(file)
    if fault:
        raise BadWarmStart(f"{WHAT}, but {file} cannot be read: {fault}.")
    return _of_storage(url_of(file))


def _of_storage(url: str) -> tuple[dict[str, Any], list[TrialResult]]:
    fields = stored_attributes(url, NAME).get(FINGERPRINT, {})
    if "model" not in fields:
        raise BadWarmStart(
            f"{WHAT}, made by `lrrt run`, but the study in {address(url)} does not say of what model it is."
        )
    names = [NAME, *(name_of(number) for number in range(1, MAX_WIDENINGS + 1))]
    return dict(fields["model"]), [result for name in names for result in _results_of(url, name)]


def _results_of(url: str, name: str) -> list[TrialResult]:
    try:
        return stored_results(url, name)
    except NoSuchStudy:
        if name == NAME:
            raise
        return []
