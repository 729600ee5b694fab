"""Save the model of any trial of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lrrt.words import score_text
from pipeline.config.tables import StageConfig
from pipeline.console.events import StageDone, Tell
from pipeline.console.stopping import Stopper
from pipeline.failures import NoSuchTrial, NotFinished
from pipeline.results.models import save_at, save_weights, save_whole
from pipeline.run import Run
from pipeline.state.ownership import check_owner
from pipeline.state.places import check_places
from pipeline.state.run_lock import check_free
from pipeline.steps.opening import earlier, with_given
from pipeline.steps.retraining import weights_of
from pipeline.steps.watching import StageWatcher
from pipeline.task.fingerprints import study_fields
from pipeline.task.guard import guarded
from studies import TrialResult

WHOLE, WEIGHTS = ".keras", ".weights.h5"
LATER = "That trial has not ended yet; `lrrt status` shows which have."


def export_trial(
    config: StageConfig,
    number: int,
    *,
    to: Path | None = None,
    out: Path | str = "out",
    state: Path | str = "state",
    on_event: Tell = lambda event: None,
    stopper: Stopper | None = None,
) -> Path:
    """Save the model of a trial after its best epoch; return its file.

    Args:
        config: the config of the run.
        number: the number of the trial. If its weights are not stored, it is trained again with its seed.
        to: a file that ends in ".keras" for the whole model, or in ".weights.h5"; None for one in the results' folder.
        out: the folder of the results.
        state: the folder of the progress.
        on_event: called with each event; see `pipeline.console`.
        stopper: may stop the training at the end of an epoch.

    Raises:
        NotFinished: if the folders hold no study.
        NoSuchTrial: if there is no such trial, or it was not trained to its end, or the file has another ending.
        CorruptState: if the file cannot be written there.
        RunLocked: if there is no such trial yet, but a process works on the study.
        ForeignRun: if the folders belong to another study.
        TaskError: if the model cannot be made or saved.
    """
    run = with_given(Run.make(config, out, state, on_event, stopper))
    path = to or run.directory.out / "exported" / f"trial-{number}{WHOLE}"
    if not path.name.endswith((WHOLE, WEIGHTS)):
        raise NoSuchTrial(f"--to must be a file that ends in {WHOLE} or {WEIGHTS}, got {str(path)!r}.")
    check_places([path], [path.parent])
    opened = earlier(run)
    if opened is None or opened.studies is None:
        check_free(run.directory.state, LATER)
        raise NotFinished(f"{run.directory.state} must hold a study with trials to export. Run `lrrt run` first.")
    trial = _completed(run, list(opened.studies.results()), number)
    prepared = run.prepare(run.config, run.stopper, run.note)
    check_owner(run.directory, study_fields(run.config, prepared.known_by, run.given))
    trainer = prepared.trainer(run.config, StageWatcher(run).on_note)
    opened.studies.last.share_choices(trainer)
    model = trainer.as_trained(trial, weights_of(run, trainer, trial))
    is_whole = path.name.endswith(WHOLE)
    remedy = f"Give --to another ending: {WHOLE} for the whole model, {WEIGHTS} for its weights."
    with guarded(f"The model must be saved as {path.name}, but that", remedy=remedy):
        save_at(path, partial(save_whole if is_whole else save_weights, model))
    score = f"{trial.objective.label} {score_text(trial.score)}"
    run.tell(StageDone(f"trial {number}, with the {score} after epoch {trial.best_epoch}, is in {path}"))
    return path


def _completed(run: Run, results: list[TrialResult], number: int) -> TrialResult:
    trial = next((result for result in results if result.number == number), None)
    if trial is None:
        check_free(run.directory.state, LATER)
        numbers = (
            f"of one of the {len(results)} trials that have ended" if results else "of a trial, but none has ended"
        )
        raise NoSuchTrial(
            f"--trial must be the number {numbers}, got {number}. trials.csv and `lrrt status` show them."
        )
    if not trial.is_candidate:
        why = trial.state.value + (f": {trial.error.rstrip('.')}" if trial.error else "")
        raise NoSuchTrial(
            f"--trial must be the number of a trial that was trained to its end, got {number}, which was not: {why}. "
            "trials.csv shows how each ended."
        )
    return trial
