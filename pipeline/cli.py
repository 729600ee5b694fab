"""Knows the command `lrrt`: its options, what goes to stdout and stderr, and how failures become exit codes."""

import errno
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import typer

from pipeline.console import ProgressStyle

if TYPE_CHECKING:
    from pipeline.config import StageConfig

OUR_BUG = 70
STORAGE_UNREACHABLE = 69
NEEDS_REPAIR = 74
INTERRUPTED = 130
TERMINATED = 143

# By name, so that nothing is imported to look a failure up; a failure's first ancestor in the table decides.
EXIT_CODES = {
    "pipeline.config.ConfigError": 2,
    "pipeline.run_directory.BadRunDirectory": 2,
    "sqlalchemy.exc.ArgumentError": 2,
    "sqlalchemy.exc.NoSuchModuleError": 2,
    "pipeline.stage.NoUsableRange": 3,
    "pipeline.stage.NoTrialCompleted": 4,
    "pipeline.task.TaskError": 65,
    "sqlalchemy.exc.OperationalError": STORAGE_UNREACHABLE,
    "optuna.exceptions.StorageInternalError": STORAGE_UNREACHABLE,
    "pipeline.run_directory.RunLocked": 73,
    "pipeline.run_directory.ForeignRun": 73,
    "pipeline.run_directory.CorruptState": NEEDS_REPAIR,
    "sqlalchemy.exc.DatabaseError": NEEDS_REPAIR,
}
DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}
SQLITE_DISK_FAULTS = ("disk is full", "disk I/O error", "readonly database", "unable to open database file")
WITH_TRACEBACK = {65, STORAGE_UNREACHABLE, OUR_BUG, NEEDS_REPAIR}  # codes whose traceback helps; shown with -v


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what stops for Ctrl-C stops for it."""


class Report(Protocol):
    """What a command prints of a stage's report."""

    @property
    def summary_path(self) -> Path: ...
    @property
    def summary(self) -> Any: ...


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
    with _exit_codes(verbose=verbose):
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
    with _exit_codes(verbose=verbose):
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
    from pipeline.config import template

    typer.echo(template(), nl=False)


@app.command(epilog="Example: lrrt validate search.toml")
def validate(config: Config, quiet: Quiet = False) -> None:
    """Check a config and tell every mistake at once; nothing is imported from the task, nothing trained."""
    with _exit_codes(verbose=False):
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


def exit_code(failure: BaseException) -> int:
    """Return the exit code for what a stage raised: the first in `EXIT_CODES` of its class and its ancestors.

    Faults of the storage are looked for among its causes too, because engines wrap them.
    """
    if isinstance(failure, KeyboardInterrupt):
        return TERMINATED if isinstance(failure, Terminated) else INTERRUPTED
    code = _own_code(failure)
    cause = failure.__cause__ or failure.__context__
    while code is None and cause is not None:
        found = _own_code(cause)
        code = found if found in (STORAGE_UNREACHABLE, NEEDS_REPAIR) else None
        cause = cause.__cause__ or cause.__context__
    return OUR_BUG if code is None else code


def _own_code(failure: BaseException) -> int | None:
    if isinstance(failure, OSError):
        return NEEDS_REPAIR if failure.errno in DISK_FAULTS else None
    names = (f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in type(failure).__mro__)
    code = next((EXIT_CODES[name] for name in names if name in EXIT_CODES), None)
    if code == STORAGE_UNREACHABLE and any(fault in _chain_text(failure) for fault in SQLITE_DISK_FAULTS):
        return NEEDS_REPAIR
    return code


def _chain_text(failure: BaseException | None) -> str:
    texts = []
    while failure is not None:
        texts.append(str(failure))
        failure = failure.__cause__ or failure.__context__
    return "\n".join(texts)


@contextmanager
def _exit_codes(*, verbose: bool) -> Iterator[None]:
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except (Exception, KeyboardInterrupt) as failure:
        code = exit_code(failure)
        if verbose and code in WITH_TRACEBACK:
            traceback.print_exception(failure)
        typer.echo(f"lrrt: {_message(failure, code, verbose=verbose)}", err=True)
        raise typer.Exit(code) from None


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def _message(failure: BaseException, code: int, *, verbose: bool) -> str:
    hint = "" if verbose or code not in WITH_TRACEBACK else " Run it again with -v to see where."
    if code in (INTERRUPTED, TERMINATED):
        return f"stopped by {'SIGTERM' if code == TERMINATED else 'Ctrl-C'}; run the same command again to go on."
    if code == OUR_BUG:
        return f"this is a fault of lrrt, please report it: {type(failure).__name__}: {failure}{hint}"
    if code == STORAGE_UNREACHABLE:
        return f"the study's storage cannot be reached: {_first_line(failure)}{hint}"
    if code == NEEDS_REPAIR:
        return f"a file cannot be read or written: {_first_line(failure)}{hint}"
    return f"{failure}{hint}"


def _first_line(failure: BaseException) -> str:
    return (str(failure).splitlines() or [type(failure).__name__])[0]


def _load(config: Path | None, overrides: dict[str, object]) -> "StageConfig":
    from pipeline.config import builtin_config, load_config

    return builtin_config(overrides) if config is None else load_config(config, overrides)


def _prepare(app_dir: Path, *, verbose: bool) -> None:
    """Make the task's module importable, and import TensorFlow without its start-up noise."""
    sys.path.insert(0, str(app_dir.resolve()))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "3")
    with _native_stderr_held_back(shown=verbose):
        import keras  # noqa: F401  # brings TensorFlow
        import tensorflow  # noqa: F401


@contextmanager
def _native_stderr_held_back(*, shown: bool) -> Iterator[None]:
    """Keep what native code writes to file descriptor 2; show it where asked, or where the block raises.

    TensorFlow's libraries log a few lines before they read TF_CPP_MIN_LOG_LEVEL, so the level alone does not help.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed: there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            shown = True
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            if shown:
                kept.seek(0)
                os.write(2, kept.read())


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
