"""Define the commands that train no study, but show a config, its cost or the progress of a run."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.failures import exit_codes
from pipeline.commands.invocation import load, prepare
from pipeline.commands.options import AppDir, AsJson, Config, OptionalConfig, Out, Quiet, Seed, State, Trials, Verbose
from pipeline.console.streams import say
from pipeline.task.example_files import example_names, write_example

EXAMPLES = example_names()


def init(
    example: Annotated[
        str | None,
        typer.Option(
            help=f"Write the files of an example into this folder instead: {', '.join(EXAMPLES)}.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    file: Annotated[str | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Print a commented config, which runs unchanged; or write an example's config and task, which do so too."""
    if file is not None:
        meant = f"lrrt init --example {file}" if file in EXAMPLES else f"lrrt init > {file}"
        raise typer.BadParameter(f"`lrrt init` takes no argument, got {file!r}. Did you mean `{meant}`?")
    if example is None:
        from pipeline.config.toml import template

        say(template().rstrip(), sys.stdout)
        return
    if example not in EXAMPLES:
        raise typer.BadParameter(f"must be one of {', '.join(EXAMPLES)}, got {example!r}.", param_hint="'--example'")
    with exit_codes(verbose=False):
        config = write_example(example, Path())
        say(f"Next: lrrt run {config}", sys.stderr)
        say(str(config), sys.stdout)


def validate(config: Config, quiet: Quiet = False, verbose: Verbose = False, app_dir: AppDir = Path()) -> None:
    """Check a config, then the task's functions, and report every mistake; no data is loaded, nothing is trained.

    The task's module is imported and its model is built, because both are cheap.
    """
    with exit_codes(verbose=verbose):
        settings = load(config)
        prepare(app_dir, verbose=verbose)
        from pipeline.task.checking import check_task

        checked = list(check_task(settings))
        if not quiet:
            say("\n".join([f"{config} is a valid config.", *checked]), sys.stderr)


def plan(
    config: OptionalConfig = None,
    trials: Trials = None,
    json: AsJson = False,
    verbose: Verbose = False,
    app_dir: AppDir = Path(),
) -> None:
    """Estimate the cost of a run from a few steps on the real model; nothing is written."""
    with exit_codes(verbose=verbose):
        settings = load(config, trials=trials)
        prepare(app_dir, verbose=verbose)
        from pipeline.report.plan import make_plan
        from pipeline.state.json_files import as_json

        estimate = make_plan(settings)
        say(as_json(estimate.as_dict()) if json else estimate.as_table().rstrip(), sys.stdout)


def status(
    config: OptionalConfig = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    json: AsJson = False,
) -> None:
    """Report the progress of a run; a run that is going on is not disturbed."""
    with exit_codes(verbose=False):
        settings = load(config, trials=trials, seed=seed)
        from pipeline.report.status import in_words, read_status
        from pipeline.state.json_files import as_json

        progress = read_status(settings, out=out, state=state)
        say(as_json(progress) if json else in_words(progress), sys.stdout)


def report(
    config: OptionalConfig = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    seed: Seed = None,
) -> None:
    """Write report.html of a finished run again, and print its path."""
    with exit_codes(verbose=False):
        settings = load(config, seed=seed)
        from pipeline.stage import rewrite_report

        rewrite_report(settings, out=out, state=state)
        say(str(out / "report.html"), sys.stdout)


def schema(
    of: Annotated[Literal["config", "summary", "bounds"], typer.Argument(help="Which file's schema.")] = "config",
) -> None:
    """Print the JSON Schema of the config, of summary.json or of bounds.json, for editors and other tools."""
    from pipeline.results.schemas import schema_of
    from pipeline.state.json_files import as_json

    say(as_json(schema_of(of), indent=2), sys.stdout)
