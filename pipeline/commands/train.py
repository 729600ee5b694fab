"""Define the commands that train: run, range, search, and export, if weights are not stored."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.failures import exit_codes
from pipeline.commands.invocation import given_bounds, load, prepare, print_report, shown, stoppable
from pipeline.commands.options import (
    AppDir,
    Bounds,
    Config,
    FailOn,
    Json,
    LocalWorkers,
    MaxTime,
    OptionalConfig,
    Out,
    Progress,
    Quiet,
    Ranges,
    Seed,
    State,
    Trials,
    Verbose,
    WarmStart,
)
from pipeline.console.streams import say

if TYPE_CHECKING:
    from pipeline.report.summary import StageReport
    from pipeline.workers.local import LocalWorkers as Workers


def run(
    config: OptionalConfig = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    max_time: MaxTime = None,
    workers: LocalWorkers = None,
    warm_start: WarmStart = None,
    fail_on: FailOn = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Run the whole stage: range tests, then the study inside their bounds.

    The same command starts a run, goes on with an interrupted one, and does nothing if all is done.
    """
    with exit_codes(verbose=verbose), stoppable(max_time) as stopper:
        settings = load(config, trials=trials, seed=seed, warm_start=warm_start)
        prepare(app_dir, verbose=verbose)
        from pipeline.stage import run_stage

        with shown(progress, quiet=quiet) as tell:
            report = run_stage(
                settings, out=out, state=state, workers=_local(workers, app_dir), on_event=tell, stopper=stopper
            )
        print_report(report, out=out, as_json=json)
        _check_quality(report, fail_on)


def range_(
    config: Config,
    out: Out = Path("out"),
    state: State = Path("state"),
    seed: Seed = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Run the range tests only: bounds and pictures."""
    with exit_codes(verbose=verbose), stoppable(None) as stopper:
        settings = load(config, seed=seed)
        prepare(app_dir, verbose=verbose)
        from pipeline.stage import run_range_tests

        with shown(progress, quiet=quiet) as tell:
            report = run_range_tests(settings, out=out, state=state, on_event=tell, stopper=stopper)
        print_report(report, out=out, as_json=json)


def search(
    config: Config,
    bounds: Bounds = None,
    ranges: Ranges = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    max_time: MaxTime = None,
    workers: LocalWorkers = None,
    warm_start: WarmStart = None,
    fail_on: FailOn = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Run the study only, inside bounds that exist: of `lrrt range` in the same folders, of a file, or by hand."""
    with exit_codes(verbose=verbose), stoppable(max_time) as stopper:
        settings = load(config, trials=trials, seed=seed, warm_start=warm_start)
        given = given_bounds(settings, bounds, ranges or [])
        prepare(app_dir, verbose=verbose)
        from pipeline.stage import run_search

        with shown(progress, quiet=quiet) as tell:
            report = run_search(
                settings,
                bounds=given,
                out=out,
                state=state,
                workers=_local(workers, app_dir),
                on_event=tell,
                stopper=stopper,
            )
        print_report(report, out=out, as_json=json)
        _check_quality(report, fail_on)


def export(
    trial: Annotated[int, typer.Option(help="The number of the trial, as in trials.csv.", metavar="N")],
    config: OptionalConfig = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="A file that ends in .keras, or in .weights.h5 for the weights alone; by default one in the folder of "
            "the results.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    seed: Seed = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Save the model of any trial after its best epoch, and print its path.

    Stored weights are taken if there are some; if not, the trial is trained again with its seed.
    """
    with exit_codes(verbose=verbose), stoppable(None) as stopper:
        settings = load(config, seed=seed)
        prepare(app_dir, verbose=verbose)
        from pipeline.results.exporting import export_trial

        with shown(progress, quiet=quiet) as tell:
            path = export_trial(settings, trial, to=to, out=out, state=state, on_event=tell, stopper=stopper)
        say(str(path), sys.stdout)


def _local(workers: int | None, app_dir: Path) -> "Workers | None":
    from pipeline.workers.local import LocalWorkers as Workers

    return None if workers is None else Workers(workers, app_dir.resolve())


def _check_quality(report: "StageReport", fail_on: str | None) -> None:
    from pipeline.failures import QualityGateFailed

    if fail_on == "overfit" and report.overfitting.verdict.name == "OVERFITTED":
        raise QualityGateFailed(f"The best trial is overfitted: {report.overfitting.reason}.")
