"""Run a study: let an engine propose trials, train them, store their results and share all of it with other workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.engines.observation import Engine, observe
from studies.engines.optuna_samplers import quiet_optuna
from studies.search import Search, TrialReader
from studies.space.search_space import SearchSpace
from studies.storage.board import Board
from studies.storage.database import open_storage
from studies.storage.progress import StudyProgress, progress_of
from studies.storage.retrying import Retrying
from studies.storage.shared_work import put_back, work_off
from studies.storage.stored_study import complete, open_study
from studies.storage.worker import Worker
from studies.trainer import Trainer
from studies.trial import TrialResult
from studies.watcher import Watcher

GRACE_S = 60.0  # without a sign of life; a worker that the network lost for longer loses one trial's work, no more
IN_MEMORY = "sqlite://"  # names what no other process can reach, for messages that never come
NUM_TRIALS = "num_trials"  # the attribute of a study with its budget


class Study:
    """A study: trials inside a search space, proposed by an engine and stored in an Optuna study.

    Its budget is a number of trials. Each worker takes the first number that is open, trains its trial and stores the
    result; one process is one worker, and any number of them, on any machines, may share a storage that they all reach.
    The trial of a worker that was killed, lost or stopped is trained again with the same values, so that each number
    ends once.

    A diverged trial counts with a finite penalty; a trial that raises has failed, and the study goes on.

    Args:
        space: what is searched.
        engine: proposes the values of trials.
        storage: a URL such as `sqlite:///study.db`; None stores the study in memory.
        name: of the study in its storage.
        prunes: whether a trial is cut that is worse than its peers; see `studies.pruning`.
        max_gap: the largest generalisation gap, validation minus training loss at the best epoch, that a trial may
            have; the engine sees what is beyond.
        first_number: of the trials; those of a study that goes on in wider bounds follow those of the narrow one.
        known: results of another study, which the engine of a new study sees if they lie in the space; they do not
            count.
        attributes: plain data stored in a new study, for those who join it; see `studies.stored_attributes`.
        creates: whether a study that is not there is made.
        worker: this process; by default it is named by its batch scheduler, or by host and pid.
        grace_s: after so long without a sign of life a worker is lost.

    Raises:
        ForeignStudy: if the storage has a study of this name and another space.
        NoSuchStudy: if there is no study, and none must be made.
        StorageUnreachable: if the storage does not answer; all methods raise it too.
        StorageOfAnotherVersion: if another version of Optuna made the storage.
    """

    def __init__(
        self,
        space: SearchSpace,
        engine: Engine,
        *,
        storage: str | None = None,
        name: str = "lrrt",
        prunes: bool = False,
        max_gap: float | None = None,
        first_number: int = 0,
        known: Sequence[TrialResult] = (),
        attributes: Mapping[str, Any] | None = None,
        creates: bool = True,
        worker: Worker | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.space, self.engine, self.first_number = space, engine, first_number
        self.prunes, self.reader = prunes, TrialReader(max_gap)
        self._retry = Retrying(storage or IN_MEMORY)
        with quiet_optuna():
            database = None if storage is None else open_storage(storage, creates=creates)
        self.study, stored = open_study(name, database, creates=creates)
        self.board = Board(self.study, stored, database, worker=worker or Worker.here(), grace_s=grace_s)
        inside = [observe(one, known[:at], max_gap) for at, one in enumerate(known) if space.holds(one.config)]
        learnt = [observation for observation in inside if observation.score is not None]
        self._retry(lambda: complete(self.study, space, learnt, attributes or {}, creates=creates))

    def run(
        self, trainer: Trainer, *, num_trials: int | None = None, watcher: Watcher | None = None
    ) -> Sequence[TrialResult]:
        """Go on until `num_trials` trials have ended, those of earlier runs and of other workers included.

        Args:
            trainer: trains the trials.
            num_trials: completed, pruned, diverged and failed trials all count. It becomes the study's budget; None
                takes the budget that the study has, however often another process raises it.
            watcher: hears what happens.

        Returns:
            The results of all trials that have ended, in the order of their numbers; fewer than `num_trials` if the
            engine has tried all of the space.
        """
        if num_trials is not None:
            self.set_budget(num_trials)
        self._work(trainer, num_trials, watcher or Watcher(), waits=True)
        return self.results()

    def work(self, trainer: Trainer, *, num_trials: int | None = None, watcher: Watcher | None = None) -> int:
        """Train what is open, until nothing is; other workers may still be at their trials.

        Args:
            trainer: trains the trials.
            num_trials: the budget; None takes the study's own, however often it is raised.
            watcher: hears what happens.

        Returns:
            How many trials this worker trained.
        """
        return self._work(trainer, num_trials, watcher or Watcher(), waits=False)

    def set_budget(self, num_trials: int) -> None:
        """Make the study's budget so many trials; those that have ended stay."""
        if self.budget != num_trials:
            self._retry(lambda: self.study.set_user_attr(NUM_TRIALS, num_trials))

    @property
    def budget(self) -> int:
        """How many trials the study is to have."""
        return int(self._retry(lambda: self.study.user_attrs).get(NUM_TRIALS, 0))

    def put_back(self) -> int:
        """Open the trials of lost workers to others; return how many there were.

        A worker is lost if it was started again, if its process on this machine has ended, and if it gave no sign of
        life for the study's grace.
        """
        job = Search(self, None, None, Watcher(), self._retry)
        return self._retry(lambda: put_back(self.board, job))

    def progress(self) -> StudyProgress:
        """Read how far the study has come, and when its workers were last seen."""
        return self._retry(lambda: progress_of(self.board, self.budget))

    def results(self) -> Sequence[TrialResult]:
        """Return the trials that have ended, in the order of their numbers."""
        return self.reader.results(self._retry(self.board.table))

    def write_keras_tuner_project(self, folder: Path) -> None:
        """Write what the study holds as KerasTuner's project folder, in place of what an earlier run wrote there."""
        from studies.engines.keras_tuner_folder import write_project

        results = self.results()
        write_project(
            folder,
            self.space,
            [(one, observe(one, results[:at], self.reader.max_gap)) for at, one in enumerate(results)],
        )

    def _work(self, trainer: Trainer, num_trials: int | None, watcher: Watcher, *, waits: bool) -> int:
        trainer.check_space(self.space)
        retry = Retrying(self._retry.url, self._retry.give_up_after_s, watcher.on_wait)
        job = Search(self, trainer, num_trials, watcher, retry)
        work_off(self.board, job, retry, waits=waits)
        return job.num_trained
