"""Knows the options that the commands share."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.console import ProgressStyle

Config = Annotated[Path, typer.Argument(metavar="search.toml", help="The config file.", show_default=False)]
OptionalConfig = Annotated[
    Path | None, typer.Argument(metavar="search.toml", help="The config file; the digits example where there is none.")
]
Out = Annotated[Path, typer.Option(help="Folder for results.", metavar="DIR")]
State = Annotated[Path, typer.Option(help="Folder for progress, from which a run goes on.", metavar="DIR")]
Trials = Annotated[int | None, typer.Option(help="Trials in all; stands over the config.", show_default=False)]
Seed = Annotated[
    int | None, typer.Option(help="Seed of everything random; stands over the config.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary itself on stdout, on one line, not its path.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks and TensorFlow's own messages.")]
Progress = Annotated[
    ProgressStyle, typer.Option(help="How progress is shown; auto looks whether stderr is a terminal.")
]
AppDir = Annotated[
    Path, typer.Option(help="Folder in which the task's module is found.", metavar="DIR", exists=True, file_okay=False)
]
