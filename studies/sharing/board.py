"""Share pieces of work between processes: each piece is held by one worker at a time, and ends once.

A board is an Optuna study. A piece of work has a key; each attempt at it is a trial of that study, with the key as an
attribute. To take a piece, a worker adds a running trial and reads whether it is the first: of all trials with one key,
the first that is not lost holds the piece. Trials are numbered in the order in which they appear, and a lost trial
stays lost. Two workers therefore never hold one piece, however old their tables are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from studies.dimension import Value
from studies.sharing.pieces import KEY, RESULT, Claim, Key, Outcome, Table
from studies.sharing.worker import Worker
from studies.storage.garbage import collector_held_back
from studies.storage.optuna_tables import add_running_trial, end_trial, seconds_since_heartbeats, set_first
from studies.storage.retrying import Retrying

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

WORKER = "worker"  # the attribute of Optuna's trials with the worker that holds it


class Board:
    """The pieces of work of one Optuna study, for one worker.

    Several processes may use a board at the same time, and each may be killed at any line: no piece is lost, and no
    piece is given to two workers.

    Args:
        study: Optuna's study.
        storage: the study's storage, as Optuna wraps it.
        database: the same storage if it is a database; other processes can share only that.
        worker: this process.
        grace_s: seconds without a sign of life after which a worker is lost.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: optuna.storages.BaseStorage,
        database: optuna.storages.RDBStorage | None,
        *,
        worker: Worker,
        grace_s: float,
    ) -> None:
        self.study, self.storage, self.database = study, storage, database
        self.worker, self.grace_s = worker, grace_s
        retry = Retrying(database.url if database else "memory")
        self._study_id = retry(lambda: storage.get_study_id_from_name(study.study_name))

    def table(self) -> Table:
        """Read the state of each piece."""
        with collector_held_back():
            return Table.of(self.study.get_trials(deepcopy=False))

    def claim(
        self,
        key: Key,
        values: Mapping[str, Value] | None = None,
        distributions: Mapping[str, BaseDistribution] | None = None,
        *,
        seen: Table | None = None,
    ) -> Claim | None:
        """Hold a piece for this worker alone; return None if another worker was faster.

        Args:
            key: the key of the piece.
            values: the parameters of the trial in Optuna, by name.
            distributions: the distributions of these values, by name.
            seen: a table in which the piece was open; it is not read again if no trial was added since.
        """
        values, distributions = dict(values or {}), dict(distributions or {})
        attributes = {KEY: key, WORKER: self.worker.as_dict()}
        if self.database is None:  # no other process can reach it
            return Claim(key, self._added_in_memory(values, distributions, attributes))
        trial_id, number = add_running_trial(self.database, self._study_id, values, distributions, attributes)
        if seen is not None and number == seen.num_trials:  # the first after that table
            return Claim(key, trial_id)
        holder = self.table().running.get(key)
        holder_id = None if holder is None else self.id_of(holder)
        if holder_id != trial_id:
            self._end(trial_id, ())
        # The holder is another trial of this worker if its creation seemed to fail, but did not.
        is_mine = holder is not None and worker_of(holder) == self.worker
        return Claim(key, holder_id) if is_mine and holder_id is not None else None

    def is_held(self, claim: Claim) -> bool:
        """Read whether this worker still holds a piece."""
        trial = self.storage.get_trial(claim.trial_id)
        return not trial.state.is_finished() and worker_of(trial) == self.worker

    def finish(self, claim: Claim, outcome: Outcome) -> bool:
        """Store the outcome of a piece; return whether this worker still held it."""
        import optuna

        attributes = {RESULT: dict(outcome.result)}
        try:
            for name, value in outcome.constraints.items():
                optuna.trial.Trial(self.study, claim.trial_id).set_constraint(name, value)
            if self.database is not None:
                return end_trial(self.database, claim.trial_id, attributes, outcome.curve, outcome.values)
            self.storage.set_trial_user_attr(claim.trial_id, RESULT, attributes[RESULT])
        except optuna.exceptions.UpdateFinishedTrialError:
            return False
        return self._end(claim.trial_id, outcome.values)

    def give_back(self, claim: Claim) -> None:
        """Let other workers take a piece that this worker does not end."""
        if RESULT not in self.storage.get_trial(claim.trial_id).user_attrs:
            self._end(claim.trial_id, ())

    def lost(self, table: Table) -> list[FrozenTrial]:
        """Return the running trials whose worker is lost: started again, ended on this machine, or silent for too long.

        A trial without a heartbeat gets one, so that its grace begins now.
        """
        running = list(table.running.values())
        if self.database is None:
            return running  # from an earlier run of this process, since there are no other workers
        gone = [trial for trial in running if (worker := worker_of(trial)) and self.worker.knows_ended(worker)]
        silent = {self.id_of(trial): trial for trial in running if trial not in gone}
        ages = seconds_since_heartbeats(self.database, silent)
        for trial_id, trial in silent.items():
            if trial_id not in ages:
                self.database.record_heartbeat(trial_id)
            elif ages[trial_id] > self.grace_s:
                gone.append(trial)
        return gone

    def close(self, trial: FrozenTrial, values: tuple[float, ...]) -> bool:
        """End a running trial of a lost worker, or a surplus one; return whether it had not ended before.

        Args:
            trial: the trial.
            values: the values of its result; none if it has no result or failed.
        """
        return self._end(self.id_of(trial), values)

    def set_first(self, name: str, value: Any) -> None:
        """Store an attribute of the study unless it has one of this name: of several workers, the first one stores."""
        if self.database is not None:
            set_first(self.database, self._study_id, name, value)
        elif name not in self.study.user_attrs:
            self.study.set_user_attr(name, value)

    def seconds_silent(self, trials: Iterable[FrozenTrial]) -> dict[int, float]:
        """Return the seconds since the last heartbeat of each trial that had one, by Optuna's number of the trial."""
        if self.database is None:
            return {}
        numbers = {self.id_of(trial): trial.number for trial in trials}
        return {numbers[trial_id]: age for trial_id, age in seconds_since_heartbeats(self.database, numbers).items()}

    def id_of(self, trial: FrozenTrial) -> int:
        """Return Optuna's id of a trial, which is not its number."""
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)

    def _added_in_memory(
        self, values: dict[str, Value], distributions: dict[str, BaseDistribution], attributes: dict[str, Any]
    ) -> int:
        import optuna

        state = optuna.trial.TrialState.RUNNING
        template = optuna.trial.create_trial(
            state=state, params=values, distributions=distributions, user_attrs=attributes
        )
        return self.storage.create_new_trial(self._study_id, template)

    def _end(self, trial_id: int, values: tuple[float, ...]) -> bool:
        import optuna

        state = optuna.trial.TrialState.COMPLETE if values else optuna.trial.TrialState.FAIL
        try:
            return self.storage.set_trial_state_values(trial_id, state, list(values) or None)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False


def worker_of(trial: FrozenTrial) -> Worker | None:
    """Return the worker that holds, or held, a trial."""
    stored = trial.user_attrs.get(WORKER)
    return None if stored is None else Worker.from_dict(stored)
