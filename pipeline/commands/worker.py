"""Knows the command `lrrt worker`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.failures import exit_codes
from pipeline.commands.invocation import load, prepare, stoppable
from pipeline.commands.options import AppDir, Config, MaxTime, Out, Progress, Quiet, Seed, State, Trials, Verbose

WorkerId = Annotated[
    str | None,
    typer.Option(
        help="Names this worker, the same when it is started again; by default its place in a Slurm array or a "
        "Kubernetes job, else host and process.",
        metavar="ID",
        show_default=False,
    ),
]
StudyName = Annotated[str, typer.Option("--study", help="The study's name in its storage.", metavar="NAME")]


def worker(
    config: Config,
    worker_id: WorkerId = None,
    out: Out = Path("out"),
    state: State = Path("state"),
    trials: Trials = None,
    seed: Seed = None,
    max_time: MaxTime = None,
    study: StudyName = "lrrt",
    first: Annotated[int, typer.Option(hidden=True)] = 0,
    ends_with_parent: Annotated[bool, typer.Option("--ends-with-parent", hidden=True)] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    progress: Progress = "auto",
    app_dir: AppDir = Path(),
) -> None:
    """Join a study that `lrrt run`, `search` or `submit` made, and train its trials until none waits.

    The study is found by its storage, best given in LRRT_STORAGE. Any number of workers may join, on any machine; where
    one is lost, others train its trial. In a Slurm job whose end is known (SLURM_JOB_END_TIME), it stops before that.
    """
    from pipeline.workers.joining import run_worker, seconds_left

    limit = seconds_left() if max_time is None else max_time
    with exit_codes(verbose=verbose), stoppable(limit, ends_with_parent=ends_with_parent) as stopper:
        settings = load(config, {"study.num_trials": trials, "study.seed": seed})
        prepare(app_dir, verbose=verbose)
        from pipeline.console.display import telling

        with telling(sys.stderr, "none" if quiet else progress) as tell:
            run_worker(
                settings,
                out=out,
                state=state,
                worker_id=worker_id,
                name=study,
                first=first,
                on_event=tell,
                stopper=stopper,
            )
