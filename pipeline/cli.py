"""Knows the command `lrrt`: what each of its commands does, and what goes to stdout."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from pipeline.exit_codes import exit_codes
from pipeline.options import AppDir, Config, Json, OptionalConfig, Out, Progress, Quiet, Seed, State, Trials, Verbose

if TYPE_CHECKING:
    from pipeline.config import StageConfig


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
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Run the whole stage: range tests, then the study inside their bounds.

    The same command starts a run, goes on with an interrupted one, and does nothing where all is done.
    """
    with exit_codes(verbose=verbose):
        settings = _load(config, {"study.num_trials": trials, "study.seed": seed})
        _prepare(app_dir, verbose=verbose)
        from pipeline.console import telling
        from pipeline.stage import run_stage

        with telling(sys.stderr, "none" if quiet else progress) as tell:
            report = run_stage(settings, out=out, state=state, on_event=tell)
        _print_report(report, as_json=json)


@app.command("range", epilog="Example: lrrt range search.toml --out bounds --state bounds-state")
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
    with exit_codes(verbose=verbose):
        settings = _load(config, {"study.seed": seed})
        _prepare(app_dir, verbose=verbose)
        from pipeline.console import telling
        from pipeline.stage import run_range_tests

        with telling(sys.stderr, "none" if quiet else progress) as tell:
            report = run_range_tests(settings, out=out, state=state, on_event=tell)
        _print_report(report, as_json=json)


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


@app.command(epilog="Example: lrrt schema > search.schema.json")
def schema() -> None:
    """Print the JSON Schema of the config, for editors and other tools."""
    from pipeline.config import StageConfig
    from pipeline.run_directory import as_json

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    typer.echo(as_json({**dialect, **StageConfig.model_json_schema()}, indent=2))


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
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    others = ", ".join(f"{name} {installed(name)}" for name in ("tensorflow", "keras", "optuna", "keras-tuner"))
    return f"lrrt {installed('lrrt')} (Python {python_version()}, {others})"
