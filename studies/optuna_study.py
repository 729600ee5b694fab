"""Knows how Optuna proposes the trials of a study and remembers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from studies.checkpoint import TrialCheckpoint
from studies.optuna_samplers import check_sampler, distribution, make_sampler, quiet_optuna
from studies.space import SearchSpace
from studies.study import OnTrial, TrialRunner, excess_gap, told_score
from studies.trainer import OnEpoch, Trainer
from studies.trial import TrialResult, TrialState

if TYPE_CHECKING:
    import optuna

RESULT = "result"  # the trial attribute that holds a TrialResult
SPACE = "space"  # the study attribute that holds the search space


class OptunaStudy:
    """A study whose trials Optuna proposes, kept in an Optuna storage and resumable from it.

    The first trials are what the range tests suggest. A diverged trial is told as a finite penalty; a trial that
    raises is told as failed, and the study goes on.

    Args:
        space: what is searched.
        storage: a URL such as `sqlite:///study.db`; None keeps the study in memory.
        name: the study's name in its storage.
        sampler: "tpe", "random", "qmc", or, where their packages are installed, "gp" (torch) or "cmaes" (cmaes).
        seed: what the sampler's choices come from.
        prunes: whether a trial is cut that is worse than its peers; see `studies.pruning`.
        max_gap: the largest generalisation gap, validation minus training loss at the best epoch, that a trial may
            have; a constraint to the sampler, if it knows any.
        known: results of another study, told to the sampler of a new one where they lie in the space; they do not
            count.

    Raises:
        ValueError: for an unknown sampler.
        ImportError: where a package that the sampler needs is not installed.
        ForeignStudy: where the storage has a study of this name and another space.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        storage: str | None = None,
        name: str = "lrrt",
        sampler: str = "tpe",
        seed: int = 0,
        prunes: bool = False,
        max_gap: float | None = None,
        known: Sequence[TrialResult] = (),
    ) -> None:
        check_sampler(sampler)
        self.space = space
        self._sampler, self._seed = sampler, seed
        self._prunes, self._max_gap = prunes, max_gap
        with quiet_optuna():
            self.study = _open(name, storage)
        space.check_kept(self.study.user_attrs.get(SPACE, {}), f"The kept study {name!r}")
        if not self.study.get_trials(deepcopy=False):
            self.study.set_user_attr(SPACE, space.as_dict())
            self._add_known(known)
            for parameters in space.suggested_parameters():
                self.study.enqueue_trial(parameters)

    def run(
        self,
        trainer: Trainer,
        *,
        num_trials: int,
        on_trial: OnTrial = lambda trained: None,
        on_epoch: OnEpoch = lambda ended: None,
        resume: TrialCheckpoint | None = None,
    ) -> Sequence[TrialResult]:
        """Go on until `num_trials` trials have ended, those of earlier runs included.

        Args:
            trainer: trains the trials.
            num_trials: completed, pruned, diverged and failed ones all count.
            on_trial: told of each trial before the storage is; what it raises ends the run.
            on_epoch: told of each epoch that ended; what it raises, such as StopTraining, ends the run.
            resume: what `on_epoch` kept of the trial that was interrupted; it goes on from there.

        Returns:
            The results of all trials that have ended, in the order of their numbers.
        """
        self._put_back_interrupted()
        runner = TrialRunner(trainer, self._prunes, on_trial, on_epoch, resume)
        results = list(self.results())
        self.study.sampler = make_sampler(self._sampler, self._seed, len(results))
        while len(results) < num_trials:
            trial = self.study.ask()
            result = runner.run(self.space.suggest(trial), results).result
            if self._max_gap is not None:
                trial.set_constraint("generalisation_gap", excess_gap(result, self._max_gap))
            trial.set_user_attr(RESULT, result.as_dict())
            self._tell(trial, result, results)
            results.append(result)
        return results

    def results(self) -> Sequence[TrialResult]:
        """Return the trials that have ended, in the order of their numbers."""
        kept = [
            trial.user_attrs[RESULT]
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.is_finished() and RESULT in trial.user_attrs
        ]
        return sorted((TrialResult.from_dict(result) for result in kept), key=lambda result: result.number)

    def _tell(self, trial: optuna.Trial | int, result: TrialResult, others: Sequence[TrialResult]) -> None:
        from optuna.trial import TrialState as OptunaState

        if result.state is TrialState.FAILED:
            self.study.tell(trial, state=OptunaState.FAIL)
        else:
            self.study.tell(trial, told_score(result, others))

    def _put_back_interrupted(self) -> None:
        """Clear up after a killed process: tell what had ended, ask again for the values of what had not."""
        from optuna.trial import TrialState as OptunaState

        for trial in self.study.get_trials(deepcopy=False, states=(OptunaState.RUNNING,)):
            if RESULT in trial.user_attrs:
                self._tell(trial.number, TrialResult.from_dict(trial.user_attrs[RESULT]), self.results())
            else:
                self.study.tell(trial.number, state=OptunaState.FAIL)
                self.study.enqueue_trial(trial.params)

    def _add_known(self, known: Sequence[TrialResult]) -> None:
        import optuna

        dimensions = {dimension.name: distribution(dimension) for dimension in self.space.dimensions()}
        for index, result in enumerate(known):
            if result.state is not TrialState.FAILED and self.space.holds(result.config):
                values = result.config.parameters()
                self.study.add_trial(
                    optuna.trial.create_trial(
                        params=values,
                        distributions={name: dimensions[name] for name in values},
                        value=told_score(result, known[:index]),
                    )
                )


def _open(name: str, storage: str | None) -> optuna.Study:
    import optuna

    kept = None if storage is None else _storage(storage)
    return optuna.create_study(study_name=name, storage=kept, direction="minimize", load_if_exists=True)


def _storage(url: str) -> optuna.storages.BaseStorage:
    """Open a storage; SQLite keeps a write-ahead log, 3 times faster and not torn by a killed process."""
    import optuna
    import sqlalchemy

    engine_kwargs: dict[str, Any] = {} if url.startswith("sqlite") else {"pool_pre_ping": True}
    storage = optuna.storages.RDBStorage(url, engine_kwargs=engine_kwargs)
    if url.startswith("sqlite"):

        @sqlalchemy.event.listens_for(storage.engine, "connect")
        def set_pragmas(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        storage.engine.dispose()
    return storage
