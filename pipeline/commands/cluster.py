"""Knows the commands that hand a stage to a cluster, and those that its jobs run: submit, gather and finish."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.failures import exit_codes
from pipeline.commands.invocation import load, prepare, print_report, stoppable
from pipeline.commands.options import AppDir, Config, Out, Progress, Quiet, Seed, State, Trials, Verbose, Workers

if TYPE_CHECKING:
    from pipeline.workers.stage_jobs import Cluster

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the jobs; write and submit nothing.")]
Round = Annotated[int, typer.Option("--round", help="The round of workers that has ended.", min=1)]
Tag = Annotated[str | None, typer.Option(help="What the jobs' names share; new by default.", show_default=False)]


def submit(
    config: Config,
    workers: Workers,
    dry_run: DryRun = False,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Hand the whole stage to the cluster: range tests, study, workers and results, each in jobs of their own.

    The same command goes on with what is left. [cluster] in the config says where jobs go; kind = "local" runs them on
    this machine.
    """
    with exit_codes(verbose=verbose), stoppable(None), _failed_jobs():
        cluster = _cluster(config, out, state, trials, seed, app_dir, workers)
        from pipeline.console.display import telling
        from pipeline.workers.stage_jobs import submit as hand_over

        with telling(sys.stderr, "none" if quiet else progress) as tell:
            hand_over(cluster, is_dry_run=dry_run, say=typer.echo, tell=tell)
        if not dry_run:
            typer.echo(cluster.directory.summary)


def gather(
    config: Config,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Gather range tests of single optimizers and make the study that workers join; a job of `lrrt submit`."""
    with exit_codes(verbose=verbose), stoppable(None) as stopper:
        settings = load(config, {"study.num_trials": trials, "study.seed": seed})
        prepare(app_dir, verbose=verbose)
        from pipeline.console.display import telling
        from pipeline.state.run_directory import RunDirectory
        from pipeline.workers.stage_jobs import gather as gather_parts

        with telling(sys.stderr, "none" if quiet else progress) as tell:
            gather_parts(settings, RunDirectory(out, state), tell=tell, stopper=stopper)


def finish(
    config: Config,
    workers: Workers,
    round_: Round = 1,
    tag: Tag = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Submit workers again where trials are left, else write the results; the last job of `lrrt submit`."""
    with exit_codes(verbose=verbose), stoppable(None) as stopper, _failed_jobs():
        cluster = _cluster(config, out, state, trials, seed, app_dir, workers, tag)
        prepare(app_dir, verbose=verbose)
        from pipeline.console.display import telling
        from pipeline.workers.stage_jobs import finish as write_or_go_on

        with telling(sys.stderr, "none" if quiet else progress) as tell:
            report = write_or_go_on(cluster, round_, tell=tell, stopper=stopper)
        if report is not None:
            print_report(report, as_json=False)


@contextmanager
def _failed_jobs() -> Iterator[None]:
    """End with the exit code of a job that ran on this machine and failed."""
    from pipeline.workers.stage_jobs import JobFailed

    try:
        yield
    except JobFailed as failure:
        typer.echo(f"lrrt: {failure}", err=True)
        raise typer.Exit(failure.code) from None


def _cluster(
    config: Path,
    out: Path,
    state: Path,
    trials: int | None,
    seed: int | None,
    app_dir: Path,
    workers: int,
    tag: str | None = None,
) -> "Cluster":
    settings = load(config, {"study.num_trials": trials, "study.seed": seed})
    from pipeline.state.run_directory import RunDirectory
    from pipeline.workers.stage_jobs import Cluster, new_submission

    options = {"out": out, "state": state, "seed": seed, "app-dir": app_dir}
    submission = new_submission(num_workers=workers, config_file=config, options=options, num_trials=trials, tag=tag)
    return Cluster(settings, RunDirectory(out, state), submission)
