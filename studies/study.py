"""Run a study: let an engine propose trials, train them, store their results and share all of it with other workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from studies.engines.observation import Engine, Observation, observe
from studies.engines.optuna_samplers import quiet_optuna
from studies.judging.halving import HYPERBAND, Prunes
from studies.judging.limits import NO_LIMITS, Limits
from studies.objective import VAL_LOSS, Objective, objectives_named
from studies.sharing.board import Board
from studies.sharing.progress import StudyProgress, progress_of
from studies.sharing.shared_work import put_back, work_off
from studies.sharing.stored_choices import StoredChoices
from studies.sharing.stored_study import complete, objectives_of, open_study
from studies.sharing.worker import Worker
from studies.space.search_space import SearchSpace
from studies.storage.database import open_storage
from studies.storage.retrying import Retrying
from studies.trainer import Trainer
from studies.trial import TrialResult
from studies.work.cross_validation import CrossValidator
from studies.work.search import Search
from studies.work.trial_reader import TrialReader
from studies.work.watcher import Watcher

GRACE_S = 60.0  # without a sign of life; a worker that is offline for longer loses only one trial's work
IN_MEMORY = "sqlite://"  # the URL of a storage in memory, which no message ever shows
NUM_TRIALS = "num_trials"  # the attribute of a study with its budget


class Study:
    """A study: trials inside a search space, proposed by an engine and stored in an Optuna study.

    Its budget is a number of trials. Each worker takes an open number, trains its trial and stores the result. One
    process is one worker; any number of workers, on any machines, may share a storage that they all reach. If a worker
    was killed, lost or stopped, its trial is trained again with the same values, so that each number ends once.

    A diverged trial counts with a finite penalty. If a trial raises, it has failed, and the study goes on.

    Args:
        space: the space that is searched.
        engine: proposes the values of trials.
        storage: a URL such as `sqlite:///study.db`; None stores the study in memory.
        name: the study's name in its storage.
        objective: what trials are scored by; None takes that of the stored study, or the validation loss for a new one.
            The name of one of Keras's metrics will do. Of several, the first ranks and prunes trials; the engine learns
            from all, and further ones may be "num_parameters" and "seconds_per_step".
        prunes: whether trials are cut that are worse than their peers, see `studies.judging.pruning`; "hyperband"
            promotes the best third at each rung instead, see `studies.judging.halving`.
        max_gap: the largest generalisation gap, validation minus training loss after the best epoch, that a trial may
            have; the engine sees the excess. A `Trainer`'s training loss is then evaluated as its validation loss is.
        limits: end the study early, or leave out models; they may change from run to run.
        first_number: the number of the first trial; a study in wider bounds continues the numbers of the narrow one.
        known: results of another study, which the engine of a new study sees if they lie in the space and have values
            of the objective; they do not count.
        attributes: plain data stored in a new study, for processes that join it; see `studies.stored_attributes`.
        creates: whether the study is made if it does not exist.
        worker: this process; by default its id comes from the batch scheduler, or from host and pid.
        grace_s: seconds without a sign of life after which a worker is lost.

    Raises:
        ForeignStudy: if the storage has a study of this name and another space or objective.
        NoSuchStudy: if there is no study, and it must not be made.
        StorageUnreachable: if the storage does not answer; all methods may raise it too.
        StorageOfAnotherVersion: if another version of Optuna made the storage.
    """

    def __init__(
        self,
        space: SearchSpace,
        engine: Engine,
        *,
        storage: str | None = None,
        name: str = "lrrt",
        objective: Objective | str | Sequence[Objective | str] | None = None,
        prunes: Prunes = False,
        max_gap: float | None = None,
        limits: Limits = NO_LIMITS,
        first_number: int = 0,
        known: Sequence[TrialResult] = (),
        attributes: Mapping[str, Any] | None = None,
        creates: bool = True,
        worker: Worker | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.space, self.engine, self.first_number = space, engine, first_number
        self.prunes = prunes
        self._retry = Retrying(storage or IN_MEMORY)
        with quiet_optuna():
            database = None if storage is None else open_storage(storage, creates=creates)
        given = None if objective is None else objectives_named(objective)
        self.study, stored = open_study(name, database, objectives=given or (VAL_LOSS,), creates=creates)
        self.objectives = self._retry(lambda: objectives_of(self.study, given))
        engine.expect(len(self.objectives))
        self.reader = TrialReader(self.objectives, max_gap, limits, halves=prunes == HYPERBAND)
        self.board = Board(self.study, stored, database, worker=worker or Worker.here(), grace_s=grace_s)
        known = [replace(one, objective=self.objective) for one in known]
        inside = [
            observe(one, known[:at], max_gap, limits, self.objectives[1:])
            for at, one in enumerate(known)
            if space.holds(one.config)
        ]
        learnt = [observation for observation in inside if observation.cost is not None]
        self._retry(lambda: complete(self.study, space, self.objectives, learnt, attributes or {}, creates=creates))

    def run(
        self, trainer: Trainer | CrossValidator, *, num_trials: int | None = None, watcher: Watcher | None = None
    ) -> Sequence[TrialResult]:
        """Train until `num_trials` trials have ended, including those of earlier runs and of other workers.

        Args:
            trainer: trains the trials.
            num_trials: the new budget of the study; completed, pruned, diverged and failed trials all count. None
                takes the study's budget, which other processes may raise.
            watcher: follows the study.

        Returns:
            The results of all trials that have ended, in the order of their numbers; fewer than `num_trials` if the
            engine has tried all of the space, or a limit has ended the study.
        """
        if num_trials is not None:
            self.set_budget(num_trials)
        self._work(trainer, num_trials, watcher or Watcher(), waits=True)
        return self.results()

    def work(
        self, trainer: Trainer | CrossValidator, *, num_trials: int | None = None, watcher: Watcher | None = None
    ) -> int:
        """Train open trials until none is left; other workers may still train theirs.

        Args:
            trainer: trains the trials.
            num_trials: the budget; None takes the study's budget, which other processes may raise.
            watcher: follows the study.

        Returns:
            The number of trials that this worker trained.
        """
        return self._work(trainer, num_trials, watcher or Watcher(), waits=False)

    def set_budget(self, num_trials: int) -> None:
        """Set the study's budget of trials; those that have ended stay."""
        if self.budget != num_trials:
            self._retry(lambda: self.study.set_user_attr(NUM_TRIALS, num_trials))

    @property
    def objective(self) -> Objective:
        """The first objective, by which trials are ranked."""
        return self.objectives[0]

    @property
    def budget(self) -> int:
        """The number of trials that the study is to have."""
        return int(self.attributes().get(NUM_TRIALS, 0))

    def attributes(self) -> dict[str, Any]:
        """Read the attributes of the stored study."""
        return self._retry(lambda: self.study.user_attrs)

    def put_back(self) -> int:
        """Open the trials of lost workers to others; return how many there were.

        A worker is lost if it was started again, if its process on this machine has ended, or if it gave no sign of
        life for `grace_s`.
        """
        job = Search(self, None, None, Watcher(), self._retry)
        return self._retry(lambda: put_back(self.board, job))

    def progress(self) -> StudyProgress:
        """Read the study's progress, and when its workers were last seen."""
        return self._retry(lambda: progress_of(self.board, self.budget))

    def results(self) -> Sequence[TrialResult]:
        """Return the trials that have ended, in the order of their numbers."""
        return self.reader.results(self._retry(self.board.table))

    def has_more(self) -> bool:
        """Say whether trials that have ended at a rung are in training again, or are to be."""
        return self.reader.has_more(self._retry(self.board.table))

    def observations(self) -> list[Observation]:
        """Return what the engine has seen: the trials that have ended, after those of another study."""
        return self.reader.observations(self._retry(self.board.table))

    def reason_to_end(self) -> str | None:
        """Return why the study needs no more trials than have ended, by its limits; None if it does."""
        return self.reader.reason_to_end(self._retry(self.board.table))

    def share_choices(self, trainer: Trainer | CrossValidator, retry: Retrying | None = None) -> None:
        """Let a trainer train as the study's trials are trained; a run of the study does so itself.

        Args:
            trainer: of trials of the study.
            retry: calls the storage.
        """
        trainer.share_choices(StoredChoices(self.board, retry or self._retry), self.space, self.budget)

    def uses_xla(self) -> dict[str, bool]:
        """Return for which kinds of trial, such as an optimizer and a batch size, `jit = "auto"` chose XLA."""
        return StoredChoices(self.board, self._retry).all()

    def write_keras_tuner_project(self, folder: Path) -> None:
        """Write the study as KerasTuner's project folder, and replace the files of an earlier run."""
        from studies.engines.keras_tuner_folder import write_project

        results = self.results()
        write_project(
            folder,
            self.space,
            self.objective,
            [
                (one, observe(one, results[:at], self.reader.max_gap, self.reader.limits))
                for at, one in enumerate(results)
            ],
        )

    def _work(self, trainer: Trainer | CrossValidator, num_trials: int | None, watcher: Watcher, *, waits: bool) -> int:
        trainer.check_space(self.space)
        if trainer.objectives != self.objectives:
            raise ValueError(
                f"A study and its trainer must have the same objectives, got {self.objectives} for the study and "
                f"{trainer.objectives} for the trainer. Give both the same `objective`."
            )
        retry = Retrying(self._retry.url, self._retry.give_up_after_s, watcher.on_wait)
        self.share_choices(trainer, retry)
        job = Search(self, trainer, num_trials, watcher, retry)
        work_off(self.board, job, retry, waits=waits)
        return job.num_trained
