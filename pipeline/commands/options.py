"""Define the options that the commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.console.streams import ProgressStyle

Config = Annotated[Path, typer.Argument(metavar="search.toml", help="The config file.", show_default=False)]
OptionalConfig = Annotated[
    Path | None, typer.Argument(metavar="search.toml", help="The config file; without one, the digits example.")
]
Out = Annotated[Path, typer.Option(help="Folder for results.", metavar="DIR")]
State = Annotated[Path, typer.Option(help="Folder for progress, from which a run goes on.", metavar="DIR")]
Trials = Annotated[int | None, typer.Option(help="Trials in all; replaces the config's value.", show_default=False)]
Seed = Annotated[
    int | None, typer.Option(help="Seed of everything random; replaces the config's value.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary itself on stdout, on one line, not its path.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, on one line, for programs.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks and TensorFlow's own messages.")]
Progress = Annotated[
    ProgressStyle, typer.Option(help="How progress is shown; auto depends on whether stderr is a terminal.")
]
AppDir = Annotated[Path, typer.Option(help="Folder of the task's module.", metavar="DIR", exists=True, file_okay=False)]
Bounds = Annotated[
    Path | None, typer.Option(help="A bounds.json to search inside.", metavar="FILE", show_default=False)
]
Ranges = Annotated[
    list[str] | None,
    typer.Option("--range", help="A range by hand; once per optimizer.", metavar="OPTIMIZER=LOW:HIGH"),
]
Workers = Annotated[int, typer.Option("--workers", help="Workers at a time.", min=1, metavar="N")]
LocalWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers", help="Train with so many processes on this machine.", min=1, metavar="N", show_default=False
    ),
]
WarmStart = Annotated[
    str | None,
    typer.Option(
        help="Start from an earlier study of the same model: its folder of results or of progress, or its storage.",
        metavar="OUT_OR_STORAGE",
        show_default=False,
    ),
]
FailOn = Annotated[
    Literal["overfit"] | None,
    typer.Option(help="Exit with 5 if the best trial is overfitted; the results are written all the same."),
]


def seconds(text: str) -> float:
    """Return the seconds of a duration such as 3h50m."""
    from pipeline.config.values import seconds_of  # it imports the engines' samplers, which `--help` does not need

    try:
        return seconds_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


MaxTime = Annotated[
    float | None,
    typer.Option(
        parser=seconds,
        help="Stop at the end of an epoch after this time, such as 3h50m, with exit code 75, or soon after it if a "
        "training hangs; the same command goes on.",
        metavar="TIME",
        show_default=False,
    ),
]
