"""Write the results of a stage into their folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrrt import RangeTestResult
from pipeline.config.toml import to_toml
from pipeline.failures import CorruptState, NoTrialCompleted
from pipeline.report.html import render, study_pictures
from pipeline.report.reading import read_summary
from pipeline.report.savings import used_jit
from pipeline.report.summary import Origin, StageReport, summarise
from pipeline.results.manifest import changed_files, update_manifest, write_manifest
from pipeline.results.models import SavedModels, save_best, save_refitted, save_top, test_metrics
from pipeline.results.plain_text import without_control
from pipeline.results.space_file import space_as_dict
from pipeline.results.tables import curves_csv, front_csv, trials_csv, trials_jsonl, trials_retrained_jsonl
from pipeline.run import NAME, Run
from pipeline.state.json_files import json_text, write_json
from pipeline.state.run_directory import RunDirectory
from pipeline.steps.arms import about_arms, edge_of, shown_space
from pipeline.steps.opening import Opened
from pipeline.steps.proposals.first_trials import WARM
from pipeline.steps.retraining import weights_of, winner_of
from pipeline.steps.widening import Studies
from pipeline.task.guard import guarded
from studies import Evaluation, Retrained, Trainer, TrialResult, check_overfitting, plot_losses
from studies.storage.whole_file import replacing, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.task.preparation import Prepared

PICTURE_DPI = 150
ONCE_MORE = (
    "Mend what made them so; then go on with more trials (--trials), or begin anew with another --out and --state."
)


@contextmanager
def _own_style() -> Iterator[None]:
    """Draw as matplotlib does by itself: a style of the user's may need fonts, or a TeX, that this machine lacks."""
    import matplotlib.style

    with matplotlib.style.context("default"):
        yield


@_own_style()
def write_range_test(directory: RunDirectory, result: RangeTestResult) -> None:
    """Write the bounds, and the curves and pictures of range tests; write nothing if these files exist already."""
    folder = directory.range_test
    bounds, curves, loss, deltas = (
        folder / name for name in ("bounds.json", "curves.csv", "loss.png", "loss_delta.png")
    )
    is_tested = any(result.curves.values())  # the bounds were not given
    text = result.to_json() + "\n"
    files = (bounds, curves, loss, deltas) if is_tested else (bounds,)
    if all(file.exists() for file in files) and bounds.read_text(encoding="utf-8") == text:
        return
    if is_tested:
        write_text(curves, curves_csv(result))
        _write_figure(loss, result.plot())
        _write_figure(deltas, result.plot_deltas())
    write_text(bounds, text)  # last: if it exists, so do the others


def write_results(
    run: Run, opened: Opened, *, retrained: Sequence[Retrained], trainer: Trainer, prepared: Prepared
) -> StageReport:
    """Write every file of the folder, the summary last; a signal waits for the end of each part.

    Raises:
        NoTrialCompleted: if there is no best trial; the tables of the trials are written all the same.
    """
    with run.stopper.deferred():
        return _write_results(run, opened, retrained=retrained, trainer=trainer, prepared=prepared)


def _write_results(
    run: Run, opened: Opened, *, retrained: Sequence[Retrained], trainer: Trainer, prepared: Prepared
) -> StageReport:
    assert opened.studies is not None, "results are written when a study has ended"
    directory, studies, range_test = run.directory, opened.studies, opened.bounds.result
    space, results = shown_space(run, range_test, studies.last), studies.results()
    best = winner_of(run.config, results, retrained)
    directory.summary.unlink(missing_ok=True)  # it shows that the other files are whole and agree
    write_range_test(directory, range_test)
    write_json(directory.space, space_as_dict(space))
    _write_study(run, studies, retrained)
    run.stopper.check()
    if best is None:
        raise NoTrialCompleted(_failures(results))
    models, evaluation = _saved_models(run, trainer, prepared, best, results)
    report = StageReport(
        range_test,
        space,
        tuple(results),
        best,
        evaluation.with_gap(check_overfitting(best.train_losses, best.val_losses)),
        summary={},
        summary_path=directory.summary,
        retrained=tuple(retrained),
        edge=edge_of(run.config, best, space),
        widened=studies.edges,
        notes=(*opened.task.notes, *about_arms(run.config, studies.last, best, space)),
        evaluation=evaluation,
        objectives=studies.last.objectives,
        compiled=tuple(used_jit(run.config, studies.last.uses_xla())),
    )
    origin = Origin(prepared.data_use, opened.task.model, _warm_start(studies), opened.bounds.seconds)
    return _write_report(run, replace(report, summary=summarise(report, models, origin)))


def _write_study(run: Run, studies: Studies, retrained: Sequence[Retrained]) -> None:
    """Write what was searched, and what each trial gave."""
    directory, results = run.directory, studies.results()
    write_text(directory.resolved_config, to_toml(run.config))
    write_text(directory.trials_csv, trials_csv(results))
    write_text(directory.trials_jsonl, trials_jsonl(results))
    write_text(directory.trials_retrained, trials_retrained_jsonl(retrained))
    if run.config.study.engine == "keras_tuner":
        studies.last.write_keras_tuner_project(directory.keras_tuner / NAME)


def _saved_models(
    run: Run, trainer: Trainer, prepared: Prepared, best: TrialResult, results: Sequence[TrialResult]
) -> tuple[SavedModels, Evaluation]:
    """Save the models; return them, and what the winner's shows of the data."""
    write_json(run.directory.best / "config.json", best.as_dict())
    with guarded("The best model must be made again, but that", stopper=run.stopper):
        model = trainer.as_trained(best, weights_of(run, trainer, best))
    saved = save_best(run, model, best)
    run.stopper.check()
    with guarded("The best model must be scored on the test data, but that", stopper=run.stopper):
        test = test_metrics(prepared, model, best)
        evaluation = prepared.evaluate(trainer, model, best)
    run.stopper.check()
    refitted = save_refitted(run, prepared, best)
    top = save_top(run, trainer, results, best, saved.file)
    return SavedModels(saved, test, refitted, top), evaluation


@_own_style()
def _write_report(run: Run, report: StageReport) -> StageReport:
    """Write the report, the manifest, and the summary last; return the report with the summary that was written."""
    _write_figure(run.directory.best / "losses.png", plot_losses(report.best.curves(), report.overfitting))
    if report.front:
        write_text(run.directory.front_csv, front_csv(report.front, report.objectives))
    write_html(run, report)
    text = json_text(report.summary)
    write_manifest(run, summary=text)
    write_text(run.directory.summary, text)
    return replace(report, summary=read_summary(run.directory))


@_own_style()
def rewrite_html(run: Run, report: StageReport) -> None:
    """Write report.html of a finished run and its pictures again.

    Raises:
        CorruptState: if other results are missing, or are not what was written.
    """
    update_manifest(run.directory, write_html(run, report))
    changed = changed_files(run.directory)
    if changed:
        raise CorruptState(
            f"{run.directory.out} must hold what was written there, but {', '.join(changed)} is missing or differs. "
            "report.html is written; `lrrt run` with the same config and folders makes the others again."
        )


def write_html(run: Run, report: StageReport) -> list[Path]:
    """Write report.html and the pictures of the study; return the files."""
    pictures = study_pictures(report)
    files = {run.directory.plots / f"{name}.svg": svg + "\n" for name, svg in pictures.items()}
    files[run.directory.html] = render(report, run.config, pictures)
    for path, text in files.items():
        write_text(path, without_control(text))
    return list(files)


def _warm_start(studies: Studies) -> dict[str, Any] | None:
    stored = studies.all[0].attributes().get(WARM)
    return None if stored is None else {name: stored[name] for name in ("source", "num_trials")}


def _write_figure(path: Path, figure: Figure) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, dpi=PICTURE_DPI)


def _failures(results: Sequence[TrialResult]) -> str:
    diverged = sum(result.state.name == "DIVERGED" for result in results)
    errors = sorted({result.error for result in results if result.error})
    return (
        f"None of {len(results)} trials was trained to its end: {diverged} diverged, {len(results) - diverged} failed"
        + (f" with {'; '.join(errors).rstrip('.')}" if errors else "")
        + f". {ONCE_MORE}"
    )
