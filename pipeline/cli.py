"""Define the command `lrrt`: its commands in the order of their use, each with an example."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from pipeline.commands.cluster import submit, worker
from pipeline.commands.failures import say_failure
from pipeline.commands.look import init, plan, report, schema, status, validate
from pipeline.commands.train import export, range_, run, search
from pipeline.console.early_exit import (
    let_warnings_be_no_errors,
    make_exits_of_others_faults,
    say_what_is_raised_aside,
)
from pipeline.console.hanging import without_teardown
from pipeline.console.open_files import allow_open_files
from pipeline.console.streams import make_usable, say

# By name: the function, what the list of commands says of it, an example.
COMMANDS: dict[str, tuple[Callable[..., None], str, str]] = {
    "init": (init, "Print a config, or write an example's task.", "lrrt init > search.toml"),
    "validate": (validate, "Check a config and the task's functions.", "lrrt validate search.toml"),
    "plan": (plan, "Estimate the cost of a run.", "lrrt plan search.toml"),
    "range": (range_, "Run the range tests only.", "lrrt range search.toml --out bounds --state bounds-state"),
    "search": (
        search,
        "Run the study only, inside bounds that exist.",
        "lrrt search search.toml --range adam=1e-4:1e-2 --range sgd=1e-3:1",
    ),
    "run": (
        run,
        "Run the whole stage: range tests, then the study.",
        "lrrt run search.toml --trials 80 --out runs/1/out --state runs/1/state",
    ),
    "worker": (worker, "Join a stage that other processes run.", "lrrt worker search.toml"),
    "submit": (submit, "Hand the whole stage to the cluster.", "lrrt submit search.toml --workers 16 --dry-run"),
    "status": (status, "Report the progress of a run.", "lrrt status search.toml --json"),
    "export": (export, "Save the model of any trial.", "lrrt export search.toml --trial 17 --to model.keras"),
    "report": (
        report,
        "Write report.html of a finished run again.",
        "lrrt report search.toml --out runs/1/out --state runs/1/state",
    ),
    "schema": (schema, "Print the JSON Schema of a file.", "lrrt schema summary > summary.schema.json"),
}

app = typer.Typer(
    help="Find learning-rate bounds with a range test, then search hyperparameters of a Keras model inside them.",
    epilog="Example: lrrt init > search.toml && lrrt run search.toml",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help starts faster and fits narrow terminals
    pretty_exceptions_enable=False,
)
for _name, (_command, _short, _example) in COMMANDS.items():
    app.command(_name, short_help=_short, epilog=f"Example: {_example}")(_command)


def main() -> None:
    """Run the command line."""
    make_usable()
    let_warnings_be_no_errors()
    allow_open_files()
    make_exits_of_others_faults()
    say_what_is_raised_aside()
    with without_teardown():
        try:
            app(prog_name="lrrt")
        except OSError as error:  # of the help or another short answer, if stdout leads to a disk that is full
            sys.exit(say_failure(error, verbose=False))


def _show_versions(is_asked: bool) -> None:
    if is_asked:
        say(_versions(), sys.stdout)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show versions and exit.", callback=_show_versions, is_eager=True)
    ] = False,
) -> None:
    """Take the options before a command."""


def _versions() -> str:
    from pipeline.results.versions import versions

    others = versions()
    return f"lrrt {others.pop('lrrt')} ({', '.join(f'{name} {version}' for name, version in others.items())})"
