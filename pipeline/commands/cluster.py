"""Define the verbs for many machines: `lrrt submit` and `lrrt worker`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.failures import exit_codes
from pipeline.commands.invocation import given_bounds, load, prepare, shown, stoppable
from pipeline.commands.options import (
    AppDir,
    Bounds,
    Config,
    MaxTime,
    Out,
    Progress,
    Quiet,
    Ranges,
    Seed,
    State,
    Trials,
    Verbose,
    Workers,
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the job; write and submit nothing.")]
WorkerId = Annotated[
    str | None,
    typer.Option(
        help="Names this worker, the same when it is started again; by default its place in a Slurm array or a "
        "Kubernetes job, else host and process.",
        metavar="ID",
        show_default=False,
    ),
]


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
    """Hand the whole stage to the cluster, as an array of tasks that share all its work.

    The same command goes on with what is left. [cluster] in the config says where the tasks go; kind = "local" runs
    them on this machine.
    """
    with exit_codes(verbose=verbose), stoppable(None) as stopper:
        settings = load(config, trials=trials, seed=seed)
        prepare(app_dir, verbose=verbose)
        from pipeline.sharing import submit_stage

        options = {"out": out, "state": state, "trials": trials, "seed": seed, "app-dir": app_dir}
        with shown(progress, quiet=quiet) as tell:
            summary = submit_stage(
                settings,
                config_file=config,
                options=options,
                num_workers=workers,
                app_dir=app_dir.resolve(),
                dry_run=typer.echo if dry_run else None,
                on_event=tell,
                stopper=stopper,
            )
        if not dry_run:
            typer.echo(out / summary.relative_to(out.absolute()))


def worker(
    config: Config,
    worker_id: WorkerId = None,
    bounds: Bounds = None,
    ranges: Ranges = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    max_time: MaxTime = None,
    ends_with_parent: Annotated[bool, typer.Option("--ends-with-parent", hidden=True)] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Join a stage that `lrrt run`, `search` or `submit` runs, and share its work until nothing is left.

    The stage is found by its storage, best given in LRRT_STORAGE. Any number of workers may join, on any machine; if
    one is lost, others do its work. The results are left to the run itself. If `lrrt search` was given bounds, give a
    worker that may come before it the same.
    """
    with exit_codes(verbose=verbose), stoppable(max_time, ends_with_parent=ends_with_parent) as stopper:
        settings = load(config, trials=trials, seed=seed)
        given = given_bounds(settings, bounds, ranges or [])
        prepare(app_dir, verbose=verbose)
        from pipeline.sharing import run_worker

        with shown(progress, quiet=quiet) as tell:
            run_worker(
                settings,
                bounds=given,
                out=out,
                state=state,
                worker_id=worker_id,
                on_event=tell,
                stopper=stopper,
            )
