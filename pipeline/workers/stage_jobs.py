"""Knows how a stage is handed to a cluster as jobs, and what its jobs do that no other command does."""

from __future__ import annotations

import os
import secrets
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.tables import StageConfig
from pipeline.console.events import Note, StageDone, StageStarted, Tell
from pipeline.console.stopping import Stopper
from pipeline.report.files import is_complete
from pipeline.stage import run_stage
from pipeline.state.run_directory import RunDirectory
from pipeline.state.run_lock import RunLocked
from pipeline.state.stored import kept_range_test
from pipeline.steps.opening import begin, earlier_run
from pipeline.task.preparation import prepare
from pipeline.workers.jobs import Job, Part, Submission, all_jobs, log_file, round_jobs, script, script_file
from pipeline.workers.local_jobs import run_tasks
from pipeline.workers.queue import keep_submission, tasks_in_queue
from pipeline.workers.slurm import SlurmError, cancel_jobs, dependency, submit_job
from studies import OptunaStudy
from studies.whole_file import write_text

if TYPE_CHECKING:
    from pipeline.report.summary import StageReport
    from pipeline.steps.search import AnyStudy

TAG_BYTES = 3
POLL_S = 5.0  # between looks at trials whose workers may have died


class NoSharedStorage(ValueError):
    """Workers on many machines have no storage that all of them reach."""


class NotShared(RuntimeError):
    """A job does not see what another one wrote."""


class JobFailed(RuntimeError):
    """A job on this machine failed; `code` is its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class SlotsLeft(Exception):
    """Rounds are used up and trials are left."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where jobs go and what they share."""

    config: StageConfig
    directory: RunDirectory
    submission: Submission

    def submit(self, jobs: Sequence[Job]) -> dict[Part, str]:
        """Write the jobs' scripts and hand them over, each after the one that it waits for; return their ids.

        On this machine they have run by then, and their ids are empty.

        Raises:
            SlurmError: where one is refused; those before it are cancelled.
            JobFailed: where one fails on this machine, and others wait for it.
        """
        keep_submission(self.directory, self.submission)
        for job in jobs:
            write_text(script_file(job, self.directory), self.script(job))
        log_file(jobs[0], self.directory, "").parent.mkdir(exist_ok=True)  # Slurm makes no folder for a log
        if self.config.cluster.kind == "local":
            for job in jobs:
                self._run_here(job)
            return {}
        return self._queue(jobs)

    def script(self, job: Job) -> str:
        """Return the script of a job."""
        return script(job, self.submission, self.config.cluster, self.directory)

    def _queue(self, jobs: Sequence[Job]) -> dict[Part, str]:
        ids: dict[Part, str] = {}
        try:
            for job in jobs:
                before = ids[job.after] if job.after else None
                file = script_file(job, self.directory)
                ids[job.part] = submit_job(file, after=before, whatever_happened=job.whatever_happened)
        except SlurmError:
            if ids:
                cancel_jobs(list(ids.values()))
            raise
        return ids

    def _run_here(self, job: Job) -> None:
        num_tasks = 1 if job.num_tasks is None else job.num_tasks
        logs = [log_file(job, self.directory, str(task)) for task in range(num_tasks)]
        codes = run_tasks(script_file(job, self.directory), logs, at_once=self.submission.num_workers)
        if job.num_tasks is None and codes[0] != 0:  # what single tasks of an array leave, others do
            raise JobFailed(f"The job {job.part!r} ended with exit code {codes[0]}; see {logs[0]}.", codes[0])


def submit(cluster: Cluster, *, is_dry_run: bool = False, say: Callable[[str], None], tell: Tell) -> None:
    """Hand a stage to the cluster, or what is left of it.

    Args:
        cluster: where it goes.
        is_dry_run: whether the jobs are only said, and nothing is written.
        say: takes the jobs of a dry run, as text.
        tell: told what happens.

    Raises:
        NoSharedStorage: where the workers would not share one.
        RunLocked: where jobs of an earlier submission are still in the queue.
        SlurmError, JobFailed: see `Cluster.submit`.
    """
    config, directory = cluster.config, cluster.directory
    _check_storage(config)
    has_bounds = kept_range_test(directory) is not None
    jobs = all_jobs(cluster.submission, config, has_bounds=has_bounds)
    if is_dry_run:
        for job in jobs:
            say(_as_text(cluster, job))
        return
    earlier = earlier_run(config, directory)
    if earlier and earlier.studies and is_complete(config, directory, earlier.studies):
        tell(StageStarted("nothing left to do", directory.out))
        return
    if config.cluster.kind == "slurm" and (tasks := tasks_in_queue(directory)):
        names = ", ".join(sorted({task.job for task in tasks}))
        raise RunLocked(f"{directory.state} has jobs in the queue: {names}. Wait for their end, or `scancel` them.")
    tell(StageStarted(f"{len(jobs)} jobs with {cluster.submission.num_workers} workers", directory.out))
    ids = cluster.submit(jobs)
    told = "; ".join(f"{part} is job {job}" for part, job in ids.items())
    tell(StageDone(f"submitted: {told}; `lrrt status` tells how far they are" if told else "all jobs have ended"))


def gather(config: StageConfig, directory: RunDirectory, *, tell: Tell, stopper: Stopper) -> None:
    """Gather the range tests of other jobs, test what is missing, and make the study with its slots.

    Raises:
        NoUsableRange: where every optimizer's loss is not finite from the first step.
    """
    with directory.locked():
        if kept_range_test(directory) is None:
            missing = [name for name in config.range_test.optimizers if kept_range_test(directory, name) is None]
            if missing:
                tell(
                    Note(
                        f"{directory.state.resolve()} has no range test of {', '.join(missing)}: their jobs failed "
                        f"(see {directory.jobs}), or this machine does not see their folder; they are tested here"
                    )
                )
        begun = begin(config, directory, prepare(config, stopper), tell=tell, stopper=stopper)
        assert begun.studies is not None, "a run that has begun has a study"
        num_left = begun.studies.num_wanted(config) - len(begun.studies.earlier())
        _shared(begun.studies.last).add_slots(num_left)
        tell(StageDone(f"the study waits for workers with {num_left} trials"))


def finish(cluster: Cluster, number: int, *, tell: Tell, stopper: Stopper) -> StageReport | None:
    """Put back the trials of workers that died; submit another round where trials are left, else write the results.

    Args:
        cluster: where another round goes.
        number: of the round that has ended.
        tell: told what happens.
        stopper: may stop the waiting for workers that may yet be alive.

    Returns:
        The report; None where another round was submitted.

    Raises:
        NotShared: where there are no bounds.
        SlotsLeft: where this was the last round.
    """
    config, directory = cluster.config, cluster.directory
    earlier = earlier_run(config, directory)
    if earlier is None or earlier.studies is None:
        raise NotShared(
            f"{directory.state.resolve()} must hold the bounds that the job before found, but it does not: that job "
            f"failed (its output is in {directory.jobs}), or not every node sees this folder."
        )
    left = _slots_left(_shared(earlier.studies.last), tell, stopper)
    if not left:
        return run_stage(config, out=directory.out, state=directory.state, on_event=tell, stopper=stopper)
    if number >= config.cluster.max_rounds:
        raise SlotsLeft(
            f"{left} trials are left after {number} rounds of workers. Their output is in {directory.jobs}; the same "
            "`lrrt submit` goes on, and [cluster] max_rounds allows more rounds."
        )
    tell(Note(f"{left} trials are left: submitting round {number + 1}"))
    cluster.submit(round_jobs(cluster.submission, left, number + 1))
    return None


def _slots_left(study: OptunaStudy, tell: Tell, stopper: Stopper) -> int:
    """Wait until no trial is running, which one of a dead worker is until its grace is over; return how many wait."""
    is_told = False
    while True:
        study.put_back()
        progress = study.progress()
        if not progress.num_running:
            return progress.num_waiting
        if not is_told:
            tell(Note(f"waiting for {progress.num_running} trials whose workers may be alive"))
            is_told = True
        stopper.check()
        time.sleep(POLL_S)


def _shared(study: AnyStudy) -> OptunaStudy:
    if not isinstance(study, OptunaStudy):
        raise NoSharedStorage('Workers cannot share a study of engine = "keras_tuner"; set engine = "optuna".')
    return study


def _check_storage(config: StageConfig) -> None:
    storage = config.study.storage
    if config.cluster.kind == "slurm" and (not storage or storage.startswith("sqlite")):
        raise NoSharedStorage(
            f"Workers on several machines must share a database server, got {'SQLite' if storage else 'no storage'}. "
            "Give the URL of a PostgreSQL database in LRRT_STORAGE."
        )


def _as_text(cluster: Cluster, job: Job) -> str:
    file = shlex.quote(str(script_file(job, cluster.directory)))
    if cluster.config.cluster.kind == "local":
        command = f"bash {file}" + ("" if job.num_tasks is None else f" TASK  # for each of {job.num_tasks}")
    else:
        after = f"<{job.after}>" if job.after else None
        options = shlex.join(dependency(after, whatever_happened=job.whatever_happened))
        command = " ".join(filter(None, ["sbatch --parsable", options, file]))
    return f"# {command}\n{cluster.script(job)}"


def new_submission(
    *,
    num_workers: int,
    config_file: Path,
    options: Mapping[str, object],
    num_trials: int | None,
    tag: str | None = None,
) -> Submission:
    """Return what the jobs of a submission share.

    Args:
        num_workers: tasks of a round, at most.
        config_file: of the study.
        options: options of every command, by name; those that are None are left out.
        num_trials: what stands over the config's; None is not said.
        tag: of the submission that goes on; None for a new one.
    """
    arguments = [str(config_file.resolve())]
    for name, value in options.items():
        if value is not None:
            arguments += [f"--{name}", str(value.resolve() if isinstance(value, Path) else value)]
    needs_storage = bool(os.environ.get("LRRT_STORAGE"))
    return Submission(tag or secrets.token_hex(TAG_BYTES), num_workers, tuple(arguments), num_trials, needs_storage)
