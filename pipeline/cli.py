"""Knows the command `lrrt`: what each of its commands does, and what goes to stdout."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import typer

from pipeline.exit_codes import exit_codes
from pipeline.options import (
    AppDir,
    Bounds,
    Config,
    FailOn,
    Json,
    MaxTime,
    Only,
    OptionalConfig,
    Out,
    Progress,
    Quiet,
    Ranges,
    Seed,
    State,
    Trials,
    Verbose,
)
from pipeline.stopping import Stopper

if TYPE_CHECKING:
    from lrrt import RangeTestResult
    from pipeline.config import StageConfig
    from pipeline.report import StageReport


class Report(Protocol):
    """What a command prints of a stage's report."""

    @property
    def summary_path(self) -> Path: ...
    @property
    def summary(self) -> Any: ...


app = typer.Typer(
    help="Find learning-rate bounds with a range test, then search hyperparameters of a Keras model inside them.",
    epilog="Example: lrrt init > search.toml && lrrt run search.toml",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help starts faster and fits narrow terminals
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; this is what `lrrt` and `python -m pipeline` start."""
    app(prog_name="lrrt")


def _show_versions(wanted: bool) -> None:
    if wanted:
        typer.echo(_versions())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show versions and exit.", callback=_show_versions, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command(epilog="Example: lrrt run search.toml --trials 80 --out runs/1/out --state runs/1/state")
def run(
    config: OptionalConfig = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    max_time: MaxTime = None,
    fail_on: FailOn = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Run the whole stage: range tests, then the study inside their bounds.

    The same command starts a run, goes on with an interrupted one, and does nothing where all is done.
    """
    with exit_codes(verbose=verbose), _stoppable(max_time) as stopper:
        settings = _load(config, {"study.num_trials": trials, "study.seed": seed})
        _prepare(app_dir, verbose=verbose)
        from pipeline.console import telling
        from pipeline.stage import run_stage

        with telling(sys.stderr, "none" if quiet else progress) as tell:
            report = run_stage(settings, out=out, state=state, on_event=tell, stopper=stopper)
        _print_report(report, as_json=json)
        _check_quality(report, fail_on)


@app.command("range", epilog="Example: lrrt range search.toml --out bounds --state bounds-state")
def range_(
    config: Config,
    out: Out = Path("out"),
    state: State = Path("state"),
    only: Only = None,
    seed: Seed = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Run the range tests only: bounds and pictures."""
    with exit_codes(verbose=verbose), _stoppable(None) as stopper:
        settings = _load(config, {"study.seed": seed})
        _prepare(app_dir, verbose=verbose)
        from pipeline.console import telling
        from pipeline.stage import run_range_part, run_range_tests

        if only is not None:
            with telling(sys.stderr, "none" if quiet else progress) as tell:
                typer.echo(run_range_part(settings, only, out=out, state=state, on_event=tell, stopper=stopper))
            return
        with telling(sys.stderr, "none" if quiet else progress) as tell:
            report = run_range_tests(settings, out=out, state=state, on_event=tell, stopper=stopper)
        _print_report(report, as_json=json)


@app.command(epilog="Example: lrrt search search.toml --range adam=1e-4:1e-2 --range sgd=1e-3:1")
def search(
    config: Config,
    bounds: Bounds = None,
    ranges: Ranges = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    max_time: MaxTime = None,
    fail_on: FailOn = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Run the study only, inside bounds that exist: of `lrrt range` in the same folders, of a file, or by hand."""
    with exit_codes(verbose=verbose), _stoppable(max_time) as stopper:
        settings = _load(config, {"study.num_trials": trials, "study.seed": seed})
        given = _given_bounds(settings, bounds, ranges or [])
        _prepare(app_dir, verbose=verbose)
        from pipeline.console import telling
        from pipeline.stage import run_search

        with telling(sys.stderr, "none" if quiet else progress) as tell:
            report = run_search(settings, bounds=given, out=out, state=state, on_event=tell, stopper=stopper)
        _print_report(report, as_json=json)
        _check_quality(report, fail_on)


@app.command(epilog="Example: lrrt plan search.toml")
def plan(
    config: OptionalConfig = None,
    trials: Trials = None,
    json: Json = False,
    verbose: Verbose = False,
    app_dir: AppDir = Path(),
) -> None:
    """Tell what a run will cost, from a few steps on the real model; nothing is written."""
    with exit_codes(verbose=verbose):
        settings = _load(config, {"study.num_trials": trials})
        _prepare(app_dir, verbose=verbose)
        from pipeline.plan import make_plan
        from pipeline.run_directory import as_json

        found = make_plan(settings)
        typer.echo(as_json(found.as_dict()) if json else found.as_table(), nl=json)


@app.command(epilog="Example: lrrt status search.toml --json")
def status(
    config: OptionalConfig = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Tell how far a run has come; one that is going on is not disturbed."""
    with exit_codes(verbose=False):
        settings = _load(config, {"study.num_trials": trials, "study.seed": seed})
        from pipeline.run_directory import as_json
        from pipeline.status import in_words, read_status

        found = read_status(settings, out=out, state=state)
        typer.echo(as_json(found) if json else in_words(found))


@app.command(epilog="Example: lrrt report search.toml --out runs/1/out --state runs/1/state")
def report(
    config: OptionalConfig = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    seed: Seed = None,
) -> None:
    """Write report.html of a finished run again, and print its path."""
    with exit_codes(verbose=False):
        settings = _load(config, {"study.seed": seed})
        from pipeline.stage import rewrite_report

        rewrite_report(settings, out=out, state=state)
        typer.echo(out / "report.html")


@app.command(epilog="Example: lrrt init > search.toml")
def init() -> None:
    """Print a commented config, which runs as it is."""
    from pipeline.config_file import template

    typer.echo(template(), nl=False)


@app.command(epilog="Example: lrrt validate search.toml")
def validate(config: Config, quiet: Quiet = False) -> None:
    """Check a config and tell every mistake at once; nothing is imported from the task, nothing trained."""
    with exit_codes(verbose=False):
        _load(config, {})
        if not quiet:
            typer.echo(f"{config} is a valid config.", err=True)


@app.command(epilog="Example: lrrt schema summary > summary.schema.json")
def schema(
    of: Annotated[Literal["config", "summary", "bounds"], typer.Argument(help="Which file's schema.")] = "config",
) -> None:
    """Print the JSON Schema of the config, of summary.json or of bounds.json, for editors and other tools."""
    from pipeline.run_directory import as_json
    from pipeline.schemas import schema_of

    typer.echo(as_json(schema_of(of), indent=2))


@contextmanager
def _stoppable(max_time_s: float | None) -> Iterator[Stopper]:
    stopper = Stopper(max_time_s)
    with stopper.heeding_signals():
        yield stopper


def _given_bounds(config: "StageConfig", file: Path | None, ranges: list[str]) -> "RangeTestResult | None":
    from pipeline.search_bounds import NoBounds, bounds_by_hand, parse_ranges, read_bounds

    if file is not None and ranges:
        raise NoBounds("Bounds must come from one place, got --bounds and --range.")
    if file is not None:
        return read_bounds(file)
    return bounds_by_hand(config, parse_ranges(ranges)) if ranges else None


def _check_quality(report: "StageReport", fail_on: str | None) -> None:
    from pipeline.results import QualityGateFailed

    if fail_on == "overfit" and report.overfitting.verdict.name == "OVERFITTED":
        raise QualityGateFailed(f"The best trial is overfitted: {report.overfitting.reason}.")


def _load(config: Path | None, overrides: dict[str, object]) -> "StageConfig":
    from pipeline.config_file import builtin_config, load_config

    return builtin_config(overrides) if config is None else load_config(config, overrides)


def _prepare(app_dir: Path, *, verbose: bool) -> None:
    """Make the task's module importable, and let TensorFlow log where -v asks for it."""
    sys.path.insert(0, str(app_dir.resolve()))
    if verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")


def _print_report(report: Report, *, as_json: bool) -> None:
    from pipeline.run_directory import as_json as to_json

    typer.echo(to_json(report.summary) if as_json else str(report.summary_path))


def _versions() -> str:
    from pipeline.versions import versions

    found = versions()
    return f"lrrt {found.pop('lrrt')} ({', '.join(f'{name} {version}' for name, version in found.items())})"
